/** What is used of a `Client` of `@upstash/qstash`, by shape: any version whose calls go through `http.request` fits. */
export interface QStashClientLike {
  readonly http: {
    request(request: QStashRequest): Promise<unknown>;
    /** What the client adds to each message it publishes, such as a header that passes a preview's protection. */
    readonly headers?: { forEach(each: (value: string, name: string) => void): void } | undefined;
  };
}

/** One call of the REST API. The client joins the path unescaped. */
export interface QStashRequest {
  path: string[];
  method: "GET" | "POST" | "DELETE";
  headers?: Record<string, string>;
  body?: string;
  query?: Record<string, string | string[]>;
  parseResponseAsJson?: boolean;
}

/** Tells whether a value has the shape of a client. */
export function isClient(value: unknown): value is QStashClientLike {
  const http = (value as Partial<QStashClientLike> | null | undefined)?.http;
  return typeof http === "object" && http !== null && typeof http.request === "function";
}
