/** The user's table. */
export const TEXT_MODEL = `model Text {
  text String @id

  @@map("texts")
}`;

/** What `Prisma.TransactionClient` is to the tests, which are compiled before there is a generated client. */
export interface ShopTransaction {
  readonly text: { create(options: { data: { text: string } }): Promise<{ text: string }> };
  $executeRawUnsafe(text: string, ...values: unknown[]): Promise<number>;
}

/** The `PrismaClient` of the schema; its overloads are as Prisma writes them. */
export interface ShopClient extends ShopTransaction {
  $transaction(queries: PromiseLike<unknown>[]): Promise<unknown[]>;
  $transaction<R>(
    work: (tx: ShopTransaction) => Promise<R>,
    options?: {
      maxWait?: number;
      timeout?: number;
      isolationLevel?: "ReadCommitted" | "RepeatableRead" | "Serializable";
    },
  ): Promise<R>;
  $disconnect(): Promise<void>;
}

/** What is used of the generated module. */
export interface ShopPrisma {
  readonly PrismaClient: new (options: { adapter: unknown }) => ShopClient;
}
