const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** The text whose UTF-8 bytes are given, or `undefined` where they are not UTF-8. A byte order mark stays part of it. */
export function textOf(bytes: Uint8Array): string | undefined {
  try {
    return decoder.decode(bytes);
  } catch {
    return undefined;
  }
}

/** The text behind a standard base64 of its UTF-8 bytes, or `undefined` where it is not that. */
export function textOfBase64(base64: string): string | undefined {
  try {
    return textOf(Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0)));
  } catch {
    return undefined;
  }
}
