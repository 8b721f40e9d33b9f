import { ApiError } from "./api-error.ts";
import { type AllowDestination, checkDestination } from "./destination.ts";

export interface Endpoint {
  readonly url: string;
  readonly name?: string;
}

/** Several endpoints under one name: a message to the group becomes a message to each of them. */
export interface UrlGroup {
  readonly name: string;
  readonly createdAt: number;
  updatedAt: number;
  endpoints: Endpoint[];
  /** Headers that messages to the group get where the publisher did not set them. */
  defaultHeaders: Headers;
}

export interface UrlGroups {
  find(name: string): UrlGroup | undefined;
  /** @throws ApiError 404 */
  get(name: string): UrlGroup;
  list(): readonly UrlGroup[];
  /** Makes the group if there is none; an endpoint with the name or the URL of another replaces it. */
  addEndpoints(name: string, endpoints: readonly Endpoint[]): void;
  /** Removes endpoints by name or URL, and the group with its last one. */
  removeEndpoints(name: string, endpoints: readonly Partial<Endpoint>[]): void;
  /** Sets the default headers of the group. */
  configure(name: string, headers: Headers): void;
  delete(name: string): void;
}

const NAME = /^[A-Za-z0-9_.-]+$/;

export function createUrlGroups(now: () => number, allow: AllowDestination): UrlGroups {
  const groups = new Map<string, UrlGroup>();

  const get = (name: string): UrlGroup => {
    const group = groups.get(name);
    if (group === undefined) throw new ApiError(404, `url group "${name}" not found`);
    return group;
  };

  const getOrCreate = (name: string): UrlGroup => {
    if (!NAME.test(name)) throw new ApiError(400, `invalid url group name "${name}"`);
    let group = groups.get(name);
    if (group === undefined) {
      group = { name, createdAt: now(), updatedAt: now(), endpoints: [], defaultHeaders: new Headers() };
      groups.set(name, group);
    }
    return group;
  };

  return {
    find: (name) => groups.get(name),
    get,
    list: () => [...groups.values()],
    addEndpoints(name, endpoints) {
      for (const { url } of endpoints) checkDestination(url, allow);
      const group = getOrCreate(name);
      for (const added of endpoints) {
        const others = group.endpoints.filter((endpoint) => !isSame(endpoint, added));
        group.endpoints = [...others, added];
      }
      group.updatedAt = now();
    },
    removeEndpoints(name, endpoints) {
      const group = get(name);
      group.endpoints = group.endpoints.filter((endpoint) => !endpoints.some((removed) => isSame(endpoint, removed)));
      group.updatedAt = now();
      if (group.endpoints.length === 0) groups.delete(name);
    },
    configure(name, headers) {
      const group = getOrCreate(name);
      group.defaultHeaders = headers;
      group.updatedAt = now();
    },
    delete(name) {
      get(name);
      groups.delete(name);
    },
  };
}

function isSame(a: Partial<Endpoint>, b: Partial<Endpoint>): boolean {
  return (a.name !== undefined && a.name === b.name) || (a.url !== undefined && a.url === b.url);
}

/** A group as the API shows it. */
export function urlGroupView({ name, createdAt, updatedAt, endpoints }: UrlGroup): Record<string, unknown> {
  return { name, createdAt, updatedAt, endpoints };
}
