/** What Lua 5.1 has besides, written in Lua: it runs once, before the tables become read-only. */
export const PRELUDE = `
local removed = { "dofile", "loadfile", "print", "rawlen", "require" }
for _, name in ipairs(removed) do _G[name] = nil end
_VERSION = "Lua 5.1"

unpack = table.unpack
table.unpack, table.pack, table.move = nil, nil, nil
table.getn = function(list) return #list end
table.setn = function() error("'setn' is obsolete") end
table.maxn = function(list)
  local largest = 0
  for key in pairs(list) do
    if type(key) == "number" and key > largest then largest = key end
  end
  return largest
end
table.foreach = function(list, visit)
  for key, value in pairs(list) do
    local result = visit(key, value)
    if result ~= nil then return result end
  end
end
table.foreachi = function(list, visit)
  for index = 1, #list do
    local result = visit(index, list[index])
    if result ~= nil then return result end
  end
end

string.gfind = string.gmatch
string.pack, string.packsize, string.unpack, string.dump = nil, nil, nil, nil
coroutine.isyieldable = nil
gcinfo = function() return collectgarbage("count") end
`;
