import { type ApiCall, done, isRecord, json, readObject, type Route } from "../api-call.ts";
import { ApiError } from "../api-error.ts";
import type { Engine } from "../engine.ts";
import { type Endpoint, urlGroupView } from "../url-groups.ts";

const ONE = /^\/v2\/topics\/([^/]+)$/;
const ENDPOINTS = /^\/v2\/topics\/([^/]+)\/endpoints$/;

/** URL groups, under the name that they have in the API. */
export function topicRoutes({ urlGroups }: Engine): readonly Route[] {
  return [
    { method: "GET", path: /^\/v2\/topics\/?$/, handle: () => json(urlGroups.list().map(urlGroupView)) },
    { method: "GET", path: ONE, handle: (_call, name = "") => json(urlGroupView(urlGroups.get(name))) },
    {
      method: "PATCH",
      path: ONE,
      handle: (call, name = "") => {
        urlGroups.configure(name, readDefaultHeaders(call));
        return done();
      },
    },
    {
      method: "DELETE",
      path: ONE,
      handle: (_call, name = "") => {
        urlGroups.delete(name);
        return done();
      },
    },
    {
      method: "POST",
      path: ENDPOINTS,
      handle: (call, name = "") => {
        const endpoints = readEndpoints(call).map(({ url, name: label }): Endpoint => {
          if (url === undefined) throw new ApiError(400, "invalid endpoint: expected a url");
          return label === undefined ? { url } : { url, name: label };
        });
        urlGroups.addEndpoints(name, endpoints);
        return done();
      },
    },
    {
      method: "DELETE",
      path: ENDPOINTS,
      handle: (call, name = "") => {
        urlGroups.removeEndpoints(name, readEndpoints(call));
        return done();
      },
    },
  ];
}

function readEndpoints(call: ApiCall): readonly Partial<Endpoint>[] {
  const { endpoints } = readObject(call);
  if (!Array.isArray(endpoints)) throw new ApiError(400, "invalid body: expected an array of endpoints");
  return endpoints.map((endpoint: unknown) => {
    if (!isRecord(endpoint)) throw new ApiError(400, "invalid endpoint: expected an object");
    const { url, name } = endpoint;
    return {
      ...(typeof url === "string" ? { url } : {}),
      ...(typeof name === "string" && name !== "" ? { name } : {}),
    };
  });
}

function readDefaultHeaders(call: ApiCall): Headers {
  const { headers } = readObject(call);
  const defaults = new Headers();
  for (const [name, value] of Object.entries(isRecord(headers) ? headers : {})) {
    const values: unknown[] = Array.isArray(value) ? value : [value];
    for (const one of values) appendHeader(defaults, name, String(one));
  }
  return defaults;
}

function appendHeader(headers: Headers, name: string, value: string): void {
  try {
    headers.append(name, value);
  } catch {
    throw new ApiError(400, `invalid body: "${name}" is no valid header`);
  }
}
