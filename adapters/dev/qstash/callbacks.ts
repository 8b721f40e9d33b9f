import { toBase64 } from "./bytes.ts";
import type { DeliveryResponse } from "./event-log.ts";
import type { Message } from "./message.ts";

const encoder = new TextEncoder();

/**
 * What a callback, or with a `dlqId` a failure callback, says of a message: the last response and the message itself,
 * both bodies in base64.
 */
export function callbackBody(
  message: Message,
  retried: number,
  response: DeliveryResponse,
  dlqId?: string,
): Uint8Array<ArrayBuffer> {
  const body = {
    status: response.status,
    header: response.header,
    body: toBase64(response.body),
    retried,
    maxRetries: message.maxRetries,
    dlqId,
    sourceMessageId: message.messageId,
    topicName: message.topicName,
    endpointName: message.endpointName,
    url: message.url,
    method: message.method,
    sourceHeader: message.header,
    sourceBody: toBase64(message.body),
    notBefore: message.notBefore,
    createdAt: message.createdAt,
    scheduleId: message.scheduleId,
    callerIP: message.callerIP,
  };
  return encoder.encode(JSON.stringify(body));
}
