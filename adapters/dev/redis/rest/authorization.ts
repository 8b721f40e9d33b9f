/** What a request may do. */
export type Permission = "all" | "read" | "none";

/** The secrets of a database. */
export interface RestTokens {
  readonly token: string;
  readonly readOnlyToken?: string;
}

/** Reads the token of a request, from `Authorization: Bearer` or `?_token=`, and says what it permits. */
export function permissionOf(request: Request, { token, readOnlyToken }: RestTokens): Permission {
  const [, bearer] = /^Bearer\s+(\S+)$/i.exec(request.headers.get("authorization") ?? "") ?? [];
  const given = bearer ?? new URL(request.url).searchParams.get("_token") ?? "";
  if (isSameSecret(given, token)) return "all";
  return readOnlyToken !== undefined && isSameSecret(given, readOnlyToken) ? "read" : "none";
}

/** Compares without telling by its duration where two secrets differ. */
function isSameSecret(given: string, secret: string): boolean {
  if (secret === "" || given.length !== secret.length) return false;
  let difference = 0;
  for (let index = 0; index < secret.length; index++) {
    difference |= given.charCodeAt(index) ^ secret.charCodeAt(index);
  }
  return difference === 0;
}
