/** Counts since the start; callbacks and scheduled messages count like any other. */
export interface Stats {
  /** Messages accepted. */
  published: number;
  /** Messages refused because their deduplication id was taken. */
  deduplicated: number;
  /** Requests made to destinations, duplicates included. */
  attempts: number;
  /** Messages that a destination answered with 2xx. */
  delivered: number;
  /** Attempts that were followed by a retry. */
  retried: number;
  /** Messages given up and put into the dead-letter queue. */
  failed: number;
  /** Messages cancelled before they were delivered. */
  cancelled: number;
  /** Messages delivered once more, on purpose. */
  duplicated: number;
}

export function createStats(): Stats {
  return {
    published: 0,
    deduplicated: 0,
    attempts: 0,
    delivered: 0,
    retried: 0,
    failed: 0,
    cancelled: 0,
    duplicated: 0,
  };
}
