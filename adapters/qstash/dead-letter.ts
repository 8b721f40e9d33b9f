import type { TransportDeadLetter } from "../../src/ports/transport.ts";
import { textOfBase64 } from "./base64.ts";
import { field, headerOf, parseFields, textField } from "./json.ts";
import type { Fields } from "./json.ts";
import { epochOfLabels, epochOfUrl, isDeadLetterId, labelsOf } from "./labels.ts";
import { DELIVERY_HEADER } from "./publication.ts";

/** An entry of QStash's dead letters, or `undefined` where it is none of our deliveries. */
export function letterOfEntry(entry: Fields): TransportDeadLetter | undefined {
  const url = textField(entry, "url");
  const meta = headerOf(field(entry, "header"), DELIVERY_HEADER);
  const epoch = epochOfLabels(labelsOf(entry)) ?? epochOfCallback(textField(entry, "failureCallback"));
  if (url === undefined || (meta === undefined && epoch === undefined)) return undefined;
  return letter({
    url,
    body: textField(entry, "body") ?? textOfBase64(textField(entry, "bodyBase64") ?? "") ?? "",
    meta,
    epoch,
    transportId: textField(entry, "dlqId"),
    status: field(entry, "responseStatus"),
    response: textField(entry, "responseBody") ?? textOfBase64(textField(entry, "responseBodyBase64") ?? ""),
  });
}

/**
 * Reads the body of a failure callback. `url` is the one that was called: its query tells the epoch.
 *
 * Source: QStash documentation, "Callbacks".
 */
export function letterOfCallback(
  body: string,
  url: URL,
): { readonly letter: TransportDeadLetter } | { readonly reason: string } {
  const callback = parseFields(body);
  if (callback === undefined) return { reason: "expected a failure callback, found a body that is no JSON object" };
  const destination = textField(callback, "url");
  if (destination === undefined) return { reason: 'expected the destination in "url" of a failure callback' };
  const source = textOfBase64(textField(callback, "sourceBody") ?? "");
  if (source === undefined) return { reason: 'expected base64 of text in "sourceBody" of a failure callback' };
  const status = field(callback, "status");
  if (typeof status === "number" && status >= 200 && status < 300) {
    return { reason: `expected the callback of a failure, found that of a success (${status})` };
  }
  return {
    letter: letter({
      url: destination,
      body: source,
      meta: headerOf(field(callback, "sourceHeader"), DELIVERY_HEADER),
      epoch: epochOfUrl(url),
      transportId: textField(callback, "dlqId"),
      status,
      response: textOfBase64(textField(callback, "body") ?? ""),
    }),
  };
}

/** What was read, with the fields left out that are absent or unusable. */
function letter(read: {
  readonly url: string;
  readonly body: string;
  readonly meta: string | undefined;
  readonly epoch: string | undefined;
  readonly transportId: string | undefined;
  readonly status: unknown;
  readonly response: string | undefined;
}): TransportDeadLetter {
  const { url, body, meta, epoch, transportId, status, response } = read;
  const answered = typeof status === "number" && Number.isInteger(status) && status > 0 ? status : undefined;
  return {
    url,
    body,
    response: response || (answered === undefined ? "no response" : `status ${answered} without a readable body`),
    ...(meta === undefined ? {} : { meta }),
    ...(epoch === undefined ? {} : { epoch }),
    ...(transportId !== undefined && isDeadLetterId(transportId) ? { transportId } : {}),
    ...(answered === undefined ? {} : { status: answered }),
  };
}

function epochOfCallback(failureCallback: string | undefined): string | undefined {
  return failureCallback !== undefined && URL.canParse(failureCallback)
    ? epochOfUrl(new URL(failureCallback))
    : undefined;
}
