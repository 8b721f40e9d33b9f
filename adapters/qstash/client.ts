/** What is used of a `Client` of `@upstash/qstash`, by shape: any version whose calls go through `http.request` fits. */
export interface QStashClientLike {
  /** The client's own REST caller. */
  readonly http: {
    request(request: QStashRequest): Promise<unknown>;
    /** What the client adds to each message it publishes, such as a header that passes a preview's protection. */
    readonly headers?: { forEach(each: (value: string, name: string) => void): void } | undefined;
  };
}

/** One call of the REST API. The client joins the path unescaped. */
export interface QStashRequest {
  /** The segments of the path, joined by slashes. */
  path: string[];
  /** The method. */
  method: "GET" | "POST" | "DELETE";
  /** What is sent besides the client's own headers. */
  headers?: Record<string, string>;
  /** The body, as text. */
  body?: string;
  /** What follows the question mark. */
  query?: Record<string, string | string[]>;
  /** Whether the answer is JSON. @default true */
  parseResponseAsJson?: boolean;
}

/** Tells whether a value has the shape of a client. */
export function isClient(value: unknown): value is QStashClientLike {
  const http = (value as Partial<QStashClientLike> | null | undefined)?.http;
  return typeof http === "object" && http !== null && typeof http.request === "function";
}
