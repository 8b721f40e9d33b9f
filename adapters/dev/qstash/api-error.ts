/** A request that the API refuses: the router turns it into `{"error": message}` with its status. */
export class ApiError extends Error {
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.name = "ApiError";
    this.status = status;
  }
}

/** The reply of a request was dropped on purpose (fault injection): the server cuts the connection. */
export class ReplyLostError extends Error {
  constructor() {
    super("the reply is lost: a fault injected by the `faults` option");
    this.name = "ReplyLostError";
  }
}
