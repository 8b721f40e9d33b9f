/** Which of `count` parts of a store an id lies in: FNV-1a, 32 bits. Spreads ids evenly; nothing here is secret. */
export function shardOf(id: string, count: number): number {
  if (count === 1) return 0;
  let hash = 0x811c9dc5;
  for (let i = 0; i < id.length; i++) hash = Math.imul(hash ^ id.charCodeAt(i), 0x01000193) >>> 0;
  return hash % count;
}
