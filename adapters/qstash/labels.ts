import { deduplicationId, isDeliveryKey } from "../../src/model/delivery.ts";
import type { DeliveryRecord } from "../../src/model/delivery.ts";
import { field, textField } from "./json.ts";
import type { Fields } from "./json.ts";

/** The label of every message, by which the event log and the dead letters are searched. */
export const DEFAULT_LABEL = "aftercommit";

/** Letters that QStash takes in labels and in path segments. */
const NAME = /^[A-Za-z0-9_.-]{1,128}$/;
const EPOCH = /^[A-Za-z0-9_-]{1,64}$/;

/** Tells whether a text is fit as a label. */
export function isLabel(text: string): boolean {
  return NAME.test(text);
}

/** Tells whether a text is fit as the id of a dead letter: it becomes a path segment, so it is never empty, `.` or `..`. */
export function isDeadLetterId(text: string): boolean {
  return NAME.test(text) && text !== "." && text !== "..";
}

/** The labels of a delivery: ours, and its deduplication id, so that one delivery can be found in the event log. */
export function deliveryLabels(label: string, record: DeliveryRecord): string {
  return `${label},${deduplicationId(record)}`;
}

/** The labels of an entry of the event log or of the dead letters. */
export function labelsOf(entry: Fields): readonly string[] {
  const labels = field(entry, "labels");
  if (Array.isArray(labels)) return labels.filter((label) => typeof label === "string");
  return (textField(entry, "label") ?? "").split(",").map((label) => label.trim());
}

/** The epoch of the delivery that the labels name; `undefined` where they name none. */
export function epochOfLabels(labels: readonly string[]): string | undefined {
  for (const label of labels) {
    const [, key, epoch] = /^([^_]+_[^_]+_[^_]+)_(.+)$/.exec(label) ?? [];
    if (key !== undefined && isDeliveryKey(key) && isEpoch(epoch)) return epoch;
  }
  return undefined;
}

/** Adds the epoch of a delivery to the URL that its failure is reported to. */
export function failureUrlOf(failureUrl: string, record: DeliveryRecord): string {
  return `${failureUrl}${failureUrl.includes("?") ? "&" : "?"}epoch=${record.epoch ?? "0"}`;
}

/** The epoch that {@link failureUrlOf} added; `undefined` where there is none that could be ours. */
export function epochOfUrl(url: URL): string | undefined {
  const epoch = url.searchParams.get("epoch") ?? undefined;
  return isEpoch(epoch) ? epoch : undefined;
}

function isEpoch(text: string | undefined): text is string {
  return text !== undefined && EPOCH.test(text);
}
