export { memoryDatabase } from "./database.ts";
export type {
  DatabaseSnapshot,
  MemoryDatabase,
  MemoryDatabaseOptions,
  MemorySql,
  MemoryStatement,
} from "./database.ts";
export type { DatabaseFault } from "./database-faults.ts";
export { MemoryDatabaseError } from "./database-rows.ts";
export { memoryPayloadStore } from "./payload-store.ts";
export type { MemoryPayloadStore, MemoryPayloadStoreOptions } from "./payload-store.ts";
export { memoryReceiver } from "./receiver.ts";
export type { MemoryReceiver, MemoryReceiverOptions, SignOptions } from "./receiver.ts";
export type { InboxEntry, MapEntry, MemoryState, Snapshot, Unsettled } from "./state.ts";
export { memoryStore } from "./store.ts";
export type { MemoryStore, MemoryStoreOptions } from "./store.ts";
export { memoryTransport } from "./transport.ts";
export type { FaultOptions, MemoryTransport, MemoryTransportOptions, TransportFault } from "./transport.ts";
