/**
 * The embedded Redis against a real `redis-server`, reply by reply.
 *
 * Both get the same commands in the same order; statuses, bulk strings, integers, nils and error texts must be equal.
 */
import { isDeepStrictEqual } from "node:util";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import {
  connectRedisServer,
  createRedisEngine,
  fromText,
  isRedisArray,
  type RedisReply,
  type RedisServerBackend,
} from "../../adapters/dev/redis/index.ts";
import { sha1Hex } from "../../adapters/dev/redis/sha1.ts";
import { type RedisServerProcess, startRedisServer } from "../support/redis-server.ts";

const redisServer: RedisServerProcess | undefined = await startRedisServer();

/** Commands by subject, one a line; words with spaces are JSON strings. */
const TABLES: Readonly<Record<string, string>> = {
  "liveness and arity": `
    PING
    PING hello
    PING a b
    ping
    ECHO "a b"
    ECHO
    NOSUCH
    nosuch a "b c" d
    GET
    get a b
    SET k
    DBSIZE
    DBSIZE x
    SET k v
    DBSIZE
    FLUSHALL
    FLUSHALL ASYNC
    FLUSHALL nope
    FLUSHDB SYNC
    FLUSHDB SYNC SYNC
    TIME x
    TYPE missing
  `,
  "SET and its options": `
    SET k v
    GET k
    SET k w NX
    GET k
    SET k w XX
    SET missing w XX
    SET fresh w NX
    SET k x GET
    SET k y NX GET
    SET nothing y GET
    SET nothing2 y XX GET
    SET k z XX GET
    set k z2 xx get px 100000
    TTL k
    SET k z3 KEEPTTL
    TTL k
    SET k z4
    TTL k
    SET k v EX 1000
    TTL k
    SET k v PX 1000000
    TTL k
    SET k v EXAT 4102444800
    EXPIRETIME k
    SET k v PXAT 4102444800123
    PEXPIRETIME k
    EXPIRETIME k
    SET k v EXAT 1
    GET k
    SET k v EX 0
    SET k v EX -1
    SET k v PX 0
    SET k v EX abc
    SET k v EX 1.5
    SET k v EX
    SET k v EX 9223372036854775807
    SET k v EX 9223372036854775
    SET k v PX 9223372036854775807
    SET k v EX 99999999999999999999
    SET k v NX XX
    SET k v EX 10 PX 10
    SET k v EX 10 EX 20
    SET k v EX 10 KEEPTTL
    SET k v KEEPTTL EX 10
    SET k v FOO
    SET k v NX NX
    SET k v GET GET
    SET k v nX pX 5000 gEt
    LPUSH list a
    SET list v GET
    SET list v NX GET
    GET list
    SET list v
    TYPE list
    SETNX k v
    SETNX k2 v
    SETEX k 1000 v
    TTL k
    SETEX k 0 v
    SETEX k -5 v
    SETEX k x v
    PSETEX k 1000000 v
    TTL k
    PSETEX k 0 v
    SETEX k 9223372036854775807 v
    PSETEX k 9223372036854775807 v
    SET "" empty
    GET ""
    SET e ""
    GET e
    STRLEN e
    SET u "héllo ☃"
    STRLEN u
    GET u
  `,
  "other string commands": `
    GETSET a 1
    GETSET a 2
    SET t v EX 100
    GETSET t w
    TTL t
    GETDEL a
    GETDEL a
    GETDEL missing
    SET g v
    GETEX g
    TTL g
    GETEX g EX 1000
    TTL g
    GETEX g PERSIST
    TTL g
    GETEX g PX 1000000
    TTL g
    GETEX g EXAT 4102444800
    EXPIRETIME g
    GETEX g PXAT 4102444800123
    PEXPIRETIME g
    GETEX g EX 0
    GETEX g EX x
    GETEX g EX
    GETEX g EX 10 PERSIST
    GETEX g PERSIST EX 10
    GETEX g NX
    GETEX missing EX x
    GETEX missing EX 10
    GETEX g EXAT 1
    GET g
    MSET a 1 b 2 c 3
    MGET a b nope c
    MSET a 1 b
    MSET a
    MGET
    RPUSH list x
    MGET a list b
    GET list
    GETSET list x
    GETDEL list
    GETEX list
    APPEND list x
    STRLEN list
    INCR list
    APPEND s abc
    APPEND s def
    GET s
    STRLEN s
    STRLEN missing
    SET ttl v EX 1000
    APPEND ttl w
    TTL ttl
    INCR ttl
    INCR n
    INCR n
    INCRBY n 10
    INCRBY n -3
    DECR n
    DECRBY n 4
    DECRBY n -4
    GET n
    INCRBY n x
    INCRBY n 1.5
    SET n abc
    INCR n
    SET n " 1"
    INCR n
    SET n 007
    INCR n
    SET n -0
    INCR n
    SET n 1.0
    INCR n
    SET n ""
    INCR n
    SET n 9223372036854775807
    INCR n
    GET n
    DECR n
    GET n
    SET n -9223372036854775808
    DECR n
    DECRBY n -9223372036854775808
    INCRBY n 9223372036854775807
    SET n 9223372036854775808
    INCR n
    INCRBY fresh 9007199254740993
    GET fresh
  `,
  "INCRBYFLOAT's long doubles": `
    INCRBYFLOAT f 10.5
    INCRBYFLOAT f 0.1
    INCRBYFLOAT f -5
    SET f 3.0e3
    INCRBYFLOAT f 1.1
    INCRBYFLOAT f 200
    SET f 5.0e3
    INCRBYFLOAT f 2.0e2
    SET f 1
    INCRBYFLOAT f 1e-10
    INCRBYFLOAT f 0.33333333333333333333
    INCRBYFLOAT f abc
    INCRBYFLOAT f ""
    INCRBYFLOAT f 1e5
    INCRBYFLOAT f -1e-3
    SET f abc
    INCRBYFLOAT f 1
    SET f 0.1
    INCRBYFLOAT f 0.2
    INCRBYFLOAT f -0.3
    SET f 123456789012345678
    INCRBYFLOAT f 0.5
    RPUSH l a
    INCRBYFLOAT l 1
  `,
  "keys and expiry": `
    SET a 1
    SET b 2
    EXISTS a b c a
    DEL a c
    UNLINK b
    EXISTS a
    DEL
    SET k v
    TTL k
    PTTL k
    TTL missing
    PTTL missing
    EXPIRETIME k
    EXPIRETIME missing
    PEXPIRETIME k
    EXPIRE k 1000
    TTL k
    EXPIRE missing 1000
    EXPIRE k x
    EXPIRE k 1.5
    EXPIRE k 9223372036854775807
    EXPIRE k -9223372036854775808
    EXPIREAT k 9223372036854775807
    PEXPIRE k 9223372036854775807
    PEXPIREAT k 9223372036854775807
    PEXPIRETIME k
    EXPIRE k 1000 NX
    PERSIST k
    PERSIST k
    PERSIST missing
    EXPIREAT k 4102444800 XX
    EXPIREAT k 4102444800 GT
    EXPIREAT k 4102444800 LT
    EXPIRE k 1000 LT
    EXPIRE k 500 GT
    EXPIRE k 2000 GT
    TTL k
    EXPIRE k 3000 LT
    EXPIRE k 100 LT
    TTL k
    EXPIRE k 50 XX GT
    EXPIRE k 1000 xx lt
    EXPIRE k 1 NX XX
    EXPIRE k 1 NX GT
    EXPIRE k 1 GT LT
    EXPIRE k 1 FOO
    EXPIREAT k 4102444800
    EXPIRETIME k
    PEXPIREAT k 4102444800123
    PEXPIRETIME k
    EXPIRETIME k
    PEXPIRE k 1000000
    TTL k
    EXPIRE k 0
    EXISTS k
    SET k v
    EXPIRE k -1
    EXISTS k
    SET k v
    EXPIREAT k 1
    EXISTS k
    SET k v
    PEXPIRE k -5
    GET k
    SET r v EX 1000
    RENAME r s
    TTL s
    EXISTS r
    RENAME nope x
    RENAME s s
    RENAMENX nope x
    SET x 1
    RENAMENX s x
    RENAMENX s y
    RENAMENX y y
    RENAME x y
    GET y
    TTL y
    TYPE y
    LPUSH l 1
    TYPE l
    SADD set 1
    TYPE set
    HSET h a 1
    TYPE h
    ZADD z 1 a
    TYPE z
    FLUSHALL
    RANDOMKEY
    SET only v
    RANDOMKEY
    MSET hello 1 hallo 1 hxllo 1 hllo 1 heeello 1 "h*llo" 1 "a[b" 1
    KEYS *
    KEYS h?llo
    KEYS h*llo
    KEYS h[ae]llo
    KEYS h[^e]llo
    KEYS h[a-b]llo
    KEYS h[b-a]llo
    KEYS "h\\\\*llo"
    KEYS nothing
    KEYS *o
    KEYS **l*
    KEYS "a\\\\[b"
    KEYS "h[a"
    KEYS "h[ax"
    SCAN 0 COUNT 1000
    SCAN 0 MATCH h* COUNT 1000
    SCAN 0 COUNT 1000 TYPE string
    SCAN 0 COUNT 1000 TYPE list
    SCAN x
    SCAN 0 COUNT 0
    SCAN 0 COUNT x
    SCAN 0 FOO bar
    SCAN 0 MATCH
  `,
  hashes: `
    HSET h a 1 b 2
    HSET h a 9 c 3
    HSET h a
    HSET h a 1 b
    HGET h a
    HGET h nope
    HGET nope a
    HMGET h a nope b
    HMGET nope a b
    HGETALL h
    HGETALL nope
    HKEYS h
    HVALS h
    HLEN h
    HLEN nope
    HEXISTS h a
    HEXISTS h nope
    HSETNX h a 5
    HSETNX h d 4
    HMSET h e 5 f 6
    HMSET h e
    HMSET h e 1 f
    HDEL h a nope b
    HDEL nope a
    HDEL h c d e f
    EXISTS h
    HINCRBY h n 5
    HINCRBY h n -7
    HINCRBY h n x
    HSET h s abc
    HINCRBY h s 1
    HSET h big 9223372036854775807
    HINCRBY h big 1
    HINCRBY h big -1
    HSCAN h 0
    HSCAN h 0 MATCH n*
    HSCAN h 0 MATCH n* COUNT 100
    HSCAN nope 0
    HSCAN h x
    HSCAN h 0 FOO
    SET s v
    HSET s a 1
    HGET s a
    HGETALL s
    HLEN s
    HDEL s a
    HINCRBY s a 1
    HSCAN s 0
    HSETNX s a 1
  `,
  sets: `
    SADD s a b c
    SADD s a d
    SCARD s
    SISMEMBER s a
    SISMEMBER s z
    SISMEMBER nope a
    SMEMBERS s
    SMEMBERS nope
    SREM s a z
    SREM nope a
    SCARD s
    SCARD nope
    SSCAN s 0
    SSCAN s 0 MATCH b*
    SREM s b c d
    EXISTS s
    SET k v
    SADD k a
    SREM k a
    SMEMBERS k
    SISMEMBER k a
    SCARD k
    SSCAN k 0
  `,
  lists: `
    RPUSH l a b c
    LPUSH l z y
    LRANGE l 0 -1
    LLEN l
    LLEN nope
    LINDEX l 0
    LINDEX l -1
    LINDEX l 99
    LINDEX l -99
    LINDEX l x
    LRANGE l 1 2
    LRANGE l -2 -1
    LRANGE l 3 1
    LRANGE l -100 100
    LRANGE l 100 200
    LRANGE nope 0 -1
    LRANGE l x 1
    LPOP l
    RPOP l
    LPOP l 2
    RPOP l 0
    RPOP l 10
    EXISTS l
    LPOP l
    LPOP l 2
    LPOP l 0
    LPOP l -1
    RPUSH l a
    LPOP l -1
    LPOP l x
    LPOP l 1 2
    RPOP l 1 2
    FLUSHALL
    RPUSH l a b a c a d a
    LREM l 2 a
    LRANGE l 0 -1
    LREM l -1 a
    LRANGE l 0 -1
    RPUSH l a a
    LREM l 0 a
    LREM l 0 zzz
    LREM nope 0 a
    LREM l x a
    LRANGE l 0 -1
    RPUSH l e f g h
    LTRIM l 1 -2
    LRANGE l 0 -1
    LTRIM l 2 2
    LRANGE l 0 -1
    LTRIM l 5 9
    EXISTS l
    LTRIM nope 0 1
    LTRIM l x 1
    SET k v
    LPUSH k a
    RPUSH k a
    LPOP k
    LRANGE k 0 -1
    LLEN k
    LREM k 0 a
    LTRIM k 0 1
    LINDEX k 0
  `,
  "ZADD and its options": `
    ZADD z 1 a 2 b
    ZADD z 1 a 3 c
    ZADD z CH 5 a 6 d
    ZADD z NX 9 a 9 e
    ZADD z XX 7 a 7 zzz
    ZADD z XX CH 8 a 8 zzz
    ZADD z GT 1 a
    ZADD z GT CH 10 a
    ZADD z LT CH 2 a
    ZADD z LT CH 3 a
    ZADD z GT 1 fresh
    ZADD z XX GT CH 5 other
    ZADD z INCR 5 a
    ZADD z NX INCR 5 a
    ZADD z NX INCR 5 brandnew
    ZADD z XX INCR 5 nope
    ZADD z GT INCR -1 a
    ZADD z GT INCR 1 a
    ZADD z LT INCR 1 a
    ZADD z LT INCR -1 a
    ZADD missing XX 1 a
    ZADD missing XX INCR 1 a
    EXISTS missing
    ZADD z NX XX 1 a
    ZADD z GT LT 1 a
    ZADD z NX GT 1 a
    ZADD z NX LT 1 a
    ZADD z INCR 1 a 2 b
    ZADD z 1
    ZADD z 1 a 2
    ZADD z NX
    ZADD z NX NX
    ZADD z x a
    ZADD z 1 a x b
    ZADD z nan a
    ZADD z "" a
    ZADD z " 1" a
    ZADD z 1e400 a
    ZADD z 1e-400 a
    ZADD z 0x10 hex
    ZSCORE z hex
    ZADD z +5 plus
    ZSCORE z plus
    ZADD z .5 half
    ZSCORE z half
    ZADD z 5. five
    ZSCORE z five
    ZADD z inf top -inf bottom
    ZADD z Infinity top2 -INFINITY bottom2
    ZSCORE z top
    ZSCORE z bottom
    ZADD z INCR -inf top
    ZINCRBY z -inf top
    ZINCRBY z 1 top
    ZRANGE z 0 -1 WITHSCORES
    ZINCRBY z 1.5 a
    ZINCRBY z x a
    ZINCRBY fresh 3 m
    ZINCRBY z 1
    ZADD z -0 zero
    ZSCORE z zero
    ZREM z a b nope
    ZREM nope a
    ZCARD z
    ZCARD nope
    ZADD one 1 a
    ZREM one a
    EXISTS one
    SET k v
    ZADD k 1 a
    ZINCRBY k 1 a
    ZREM k a
    ZCARD k
    ZSCORE k a
    ZADD k x a
  `,
  "how scores are printed": `
    ZADD z 9007199254740991 a 9007199254740992 b -9007199254740991 c -9007199254740992 d
    ZADD z 1700000000123456 e -1700000000123456 f 4503599627370496 g 4503599627370495.5 h
    ZADD z 0.1 i 0.2 j 3.14 k 1e20 l 1e17 m 1e16 n 99999999999999999 o 123456789012345680 p
    ZADD z 1e-5 q 1e-4 r 1.5e300 s -1e-300 t 5e-324 u 1.7976931348623157e308 v
    ZADD z 2251799813685247.25 w 2251799813685247.75 x 1125899906842624.125 y 0.30000000000000004 aa
    ZADD z 1e21 ab 1e22 ac 123456.789 ad 100 ae 1000000 af -1.5 ag
    ZRANGE z 0 -1 WITHSCORES
    ZMSCORE z a b c d e f g h i j k l m n o p q r s t u v w x y aa ab ac ad ae af ag nope
    ZMSCORE nope a b
    ZMSCORE z
    ZINCRBY z 0.1 i
    ZINCRBY z 0.1 i
    ZINCRBY z 1 e
    ZINCRBY z -1 f
    ZADD z INCR 1 a
    ZADD z INCR 1 b
    ZSCAN z 0 MATCH a
    ZPOPMIN z 3
    ZPOPMAX z 3
  `,
  "sorted set ranges": `
    ZADD z 1 a 2 b 3 c 3 d 4 e 5 f
    ZRANGE z 0 -1
    ZRANGE z 0 -1 WITHSCORES
    ZRANGE z 1 3
    ZRANGE z -2 -1
    ZRANGE z 4 2
    ZRANGE z 10 20
    ZRANGE z -100 1
    ZRANGE z 0 -1 REV
    ZRANGE z 0 1 REV WITHSCORES
    ZRANGE z 1 2 REV
    ZRANGE z x 1
    ZRANGE z 0 1.5
    ZRANGE z 0 -1 LIMIT 0 1
    ZRANGE z 0 -1 LIMIT 0 -1
    ZRANGE z 0 -1 FOO
    ZRANGE z 2 4 BYSCORE
    ZRANGE z (2 4 BYSCORE
    ZRANGE z 2 (4 BYSCORE
    ZRANGE z (2 (3 BYSCORE
    ZRANGE z -inf +inf BYSCORE
    ZRANGE z -inf inf BYSCORE LIMIT 1 2
    ZRANGE z -inf inf BYSCORE LIMIT 1 -1
    ZRANGE z -inf inf BYSCORE LIMIT 1 0
    ZRANGE z -inf inf BYSCORE LIMIT -1 2
    ZRANGE z -inf inf BYSCORE LIMIT 100 2
    ZRANGE z -inf inf BYSCORE LIMIT 1
    ZRANGE z -inf inf BYSCORE LIMIT x 1
    ZRANGE z -inf inf BYSCORE WITHSCORES LIMIT 0 1
    ZRANGE z inf -inf BYSCORE REV
    ZRANGE z inf -inf byscore rev limit 1 2 withscores
    ZRANGE z 4 2 BYSCORE REV
    ZRANGE z 2 4 BYSCORE REV
    ZRANGE z (4 (2 BYSCORE REV
    ZRANGE z 4 2 BYSCORE
    ZRANGE z x 2 BYSCORE
    ZRANGE z 1 nan BYSCORE
    ZRANGE z "" 2 BYSCORE
    ZRANGE z ( 2 BYSCORE
    ZRANGE z 1e400 2 BYSCORE
    ZRANGE z -1e400 2 BYSCORE
    ZRANGE z 1 2 BYSCORE BYLEX
    ZRANGE nope 0 -1
    ZRANGE nope x y BYSCORE
    ZRANGEBYSCORE z 2 3
    ZRANGEBYSCORE z (2 3 WITHSCORES LIMIT 0 1
    ZRANGEBYSCORE z 2 3 REV
    ZRANGEBYSCORE z 2 x
    ZREVRANGEBYSCORE z 3 2
    ZREVRANGEBYSCORE z +inf -inf WITHSCORES LIMIT 1 2
    ZREVRANGEBYSCORE z 2 3
    ZREVRANGE z 0 2
    ZREVRANGE z 0 -1 WITHSCORES
    ZREVRANGE z 0 -1 LIMIT 0 1
    ZCOUNT z 2 3
    ZCOUNT z (2 3
    ZCOUNT z -inf +inf
    ZCOUNT z 5 1
    ZCOUNT nope 1 2
    ZCOUNT z x 1
    ZRANK z c
    ZRANK z nope
    ZRANK nope a
    ZRANK z a WITHSCORE
    ZREVRANK z c
    ZREVRANK z nope
    ZSCORE z nope
    ZSCORE nope a
    ZRANGESTORE d z 1 2
    ZRANGE d 0 -1 WITHSCORES
    ZRANGESTORE d z 2 (4 BYSCORE LIMIT 1 1
    ZRANGE d 0 -1 WITHSCORES
    ZRANGESTORE d z 0 1 REV
    ZRANGE d 0 -1
    ZRANGESTORE d z 9 9
    EXISTS d
    ZRANGESTORE d z 0 -1 WITHSCORES
    ZREMRANGEBYSCORE z (4 +inf
    ZREMRANGEBYSCORE z x 1
    ZREMRANGEBYSCORE nope 1 2
    ZREMRANGEBYRANK z 0 0
    ZREMRANGEBYRANK z -1 -1
    ZREMRANGEBYRANK z 5 9
    ZREMRANGEBYRANK z x 9
    ZRANGE z 0 -1
    ZPOPMIN z
    ZPOPMAX z
    ZPOPMIN z 0
    ZPOPMIN nope
    ZPOPMIN nope 5
    ZPOPMIN z -1
    ZPOPMIN z x
    ZPOPMIN z 1 2
    ZPOPMAX z 5
    EXISTS z
    ZADD l 0 a 0 b 0 c 0 d 0 aa 0 B 0 "é"
    ZRANGE l 0 -1
    ZRANGE l - + BYLEX
    ZRANGE l [a [b BYLEX
    ZRANGE l (a (c BYLEX
    ZRANGE l [a + BYLEX LIMIT 1 2
    ZRANGE l + - BYLEX REV
    ZRANGE l + [b BYLEX REV LIMIT 0 1
    ZRANGE l + - BYLEX
    ZRANGE l a b BYLEX
    ZRANGE l [a b BYLEX
    ZRANGE l - + BYLEX WITHSCORES
    ZRANGEBYLEX l - (b
    ZRANGEBYLEX l - + LIMIT 1 2
    ZREVRANGEBYLEX l + - LIMIT 1 2
    ZLEXCOUNT l - +
    ZLEXCOUNT l [a (c
    ZLEXCOUNT l x y
    ZLEXCOUNT nope - +
    ZREMRANGEBYLEX l [a [aa
    ZREMRANGEBYLEX l x y
    ZRANGE l 0 -1
    ZSCAN l 0
    ZSCAN l 0 MATCH b
    SET k v
    ZRANGE k 0 -1
    ZRANGEBYSCORE k 1 2
    ZCOUNT k 1 2
    ZRANK k a
    ZPOPMIN k
    ZREMRANGEBYSCORE k 1 2
    ZMSCORE k a
    ZSCAN k 0
    ZLEXCOUNT k - +
    ZRANGESTORE d k 0 1
  `,
  "script commands": `
    EVAL "return 1" 0
    EVAL "return 1"
    EVAL "return 1" x
    EVAL "return 1" 2 a
    EVAL "return 1" -1
    EVAL "return {KEYS[1],KEYS[2],ARGV[1],ARGV[2]}" 2 k1 k2 a1 a2
    EVAL "return {#KEYS, #ARGV}" 1 a b c
    EVALSHA e0e1f9fabfc9d4800c877a703b823ac0578ff8db 0
    EVALSHA E0E1F9FABFC9D4800C877A703B823AC0578FF8DB 0
    EVALSHA 0000000000000000000000000000000000000000 0
    EVALSHA short 0
    SCRIPT LOAD "return 2"
    SCRIPT EXISTS 7f923f79fe76194c868d7e1d0820de36700eb649 0000000000000000000000000000000000000000
    EVALSHA 7f923f79fe76194c868d7e1d0820de36700eb649 0
    SCRIPT LOAD "return if"
    SCRIPT LOAD
    SCRIPT LOAD a b
    SCRIPT EXISTS
    SCRIPT
    SCRIPT FOO
    SCRIPT FLUSH
    SCRIPT FLUSH SYNC
    SCRIPT FLUSH nope
    SCRIPT EXISTS 7f923f79fe76194c868d7e1d0820de36700eb649
    EVALSHA 7f923f79fe76194c868d7e1d0820de36700eb649 0
    EVAL_RO "return redis.call('get', KEYS[1])" 1 k
    EVAL_RO "return redis.call('set', KEYS[1], 'v')" 1 k
    EVAL_RO "return redis.pcall('set', KEYS[1], 'v')" 1 k
    EVAL "#!lua\\nreturn 5" 0
    EVAL "#!lua flags=no-writes\\nreturn redis.call('set', KEYS[1], 'v')" 1 k
    EVAL "#!lua flags=no-writes,allow-stale\\nreturn redis.call('get', KEYS[1])" 1 k
    EVAL "#!lua flags=nope\\nreturn 1" 0
    EVAL "#!python\\nreturn 1" 0
    EVAL "#!lua foo=bar\\nreturn 1" 0
    EVAL "#!lua" 0
    EVAL "#!lua\\n\\nerror('on line 3')" 0
  `,
};

/** Scripts, one a line; each runs with the key `k` and the arguments `7`, `text` and an empty one. */
const SCRIPTS: Readonly<Record<string, string>> = {
  "results of all types": String.raw`
    return 1
    return 3.99
    return -3.99
    return 1e300
    return 0/0
    return math.huge
    return 9007199254740993
    return 'text'
    return ''
    return true
    return false
    return nil
    return
    return {}
    return {1,2,nil,4}
    return {true,false,1}
    return {1,{2,{3,'x'}},{}}
    return {1.9,-1.9}
    return {ok='FINE'}
    return {ok='x\ny'}
    return {err='MY error'}
    return {err='x\ny'}
    return {1,{err='MY nested'},{ok='YES'}}
    return {a=1}
    return {[1]='a',[2]='b',x='c'}
    return {double=3.5}
    return {map={a=1}}
    return {set={a=true}}
    return function() end
    return setmetatable({},{__index=function(t,k) return k end})
    return redis.call('set','k','v')
    return redis.call('get','nokey')
    return redis.call('get','nokey') == false
    return type(redis.call('set','k','v'))
    return redis.call('set','k','v').ok
    return redis.call('set','k','v','NX') == false
    redis.call('rpush','l','a','b') return redis.call('lrange','l',0,-1)
    redis.call('hset','h','f','v') return redis.call('hgetall','h')
    return redis.call('hmget','h','f','none')
    redis.call('zadd','z',1.5,'a') return redis.call('zrange','z',0,-1,'withscores')
    return type(redis.call('zscore','z','a'))
    return redis.call('incr','n') + 1
    return {redis.call('exists','k'), redis.call('ttl','k'), redis.call('type','k')}
    return redis.status_reply('FINE')
    return redis.error_reply('boom')
    return redis.error_reply('-boom x')
    return redis.error_reply('MY boom')
    return {redis.error_reply('My Err: x y'), 1}
    return redis.error_reply()
    return redis.error_reply(1)
    return redis.status_reply(1)
    return redis.sha1hex('')
    return redis.sha1hex('abc')
    return redis.log(redis.LOG_NOTICE,'x')
    return {redis.LOG_DEBUG,redis.LOG_VERBOSE,redis.LOG_NOTICE,redis.LOG_WARNING}
    return redis.setresp(2)
    return redis.replicate_commands()
    return {KEYS[1],ARGV[1],ARGV[2],ARGV[3],#ARGV}
    return _G.KEYS == KEYS
  `,
  "numbers and their printing": String.raw`
    return tostring(3.0)
    return tostring(3)
    return tostring(-0)
    return tostring(1e14)
    return tostring(1e15)
    return tostring(123456789012345)
    return tostring(1700000000123456)
    return tostring(2^53)
    return tostring(2^31)
    return tostring(0.1)
    return tostring(1/3)
    return tostring(1e100)
    return tostring(1e-5)
    return tostring(100000000000000000000)
    return tostring(1/0)..tostring(-1/0)
    return tostring(math.pi)
    return 10 .. ''
    return 10.0 .. 'x' .. 2.5
    return 1e15 .. ''
    return '10' + 5
    return tostring('10' + 5)
    return '10' * '2'
    return '1700000000' * 1000000 + '123456'
    return string.format('%.0f', '1700000000' * 1000000 + '123456')
    return 2147483647 + 1
    return tostring(2147483647 * 2147483647)
    return 0xFFFFFFFF
    return 0x7fffffff + 1
    return 7 % -3
    return -7 % 3
    return tostring(5.5 % 2)
    return 7 / 2
    return tostring(7 / 2)
    return tostring(2 ^ 0.5)
    return 3e2 + .5e1 + 0x1F
    for i = 1, 3 do redis.call('append', 'loop', i .. ',') end return redis.call('getdel', 'loop')
    local s = '' for i = 0.5, 2 do s = s .. i .. ' ' end return s
    local t = {} for i = 10, 1, -3 do t[#t + 1] = i end return t
    return redis.call('set', 'f', 1.5) and redis.call('get', 'f')
    return redis.call('set', 'f', 10000000000000000) and redis.call('get', 'f')
    return redis.call('set', 'f', 1700000000123456) and redis.call('get', 'f')
    return redis.call('set', 'f', 1/3) and redis.call('get', 'f')
    return redis.call('set', 'f', 1e300) and redis.call('get', 'f')
    return redis.call('set', 'f', -0.1) and redis.call('get', 'f')
    return redis.call('set', 'f', 3) and redis.call('get', 'f')
    return redis.call('zadd', 'z', 2^53, 'big') and redis.call('zscore', 'z', 'big')
    return redis.call('zadd', 'z', string.format('%.0f', 1700000000123456.4), 'us') and redis.call('zscore', 'z', 'us')
    return string.format('%d', 3.7)
    return string.format('%d', -3.7)
    return string.format('%d', 1700000000123456)
    return string.format('%d', 2^63)
    return string.format('%d', '10')
    return string.format('%i|%5d|%-5d|%05d|%+d|% d|%.3d', 1e15, 42, 42, 42, 5, 5, 7)
    return string.format('%x|%X|%#x|%o|%u|%x', 255, 255, 255, 8, 3, -1)
    return string.format('%u', -1)
    return string.format('%.0f', 0.5) .. string.format('%.0f', 1.5) .. string.format('%.0f', 2.5)
    return string.format('%.0f', 9007199254740993)
    return string.format('%.0f', -1700000000123456)
    return string.format('%.0f', 1e22)
    return string.format('%.3f|%f|%10.2f|%-10.2f|%+.1f', 2/3, 1/3, 3.14159, 3.14159, 2)
    return string.format('%.20f', 0.1)
    return string.format('%.2f|%.2f|%.1f', 0.125, 0.375, 0.25)
    return string.format('%e|%.2e|%E', 12345.678, 0.00012, 1e100)
    return string.format('%g|%g|%g|%g|%g', 0.0001, 0.00001, 123456789, 100000, 1e20)
    return string.format('%.14g|%.17g|%.3g|%#g', 2^63, 0.1, 1234.5, 1)
    return string.format('%5s|%-5s|%.2s|%10.3s', 'a', 'b', 'cde', 'abcdef')
    return string.format('%s %s', 1, 2.5)
    return string.format('%q', 'a"b\\c')
    return string.format('%c%c', 72, 105)
    return string.format('100%%')
    return tonumber('0x10')
    return tonumber('10', 2)
    return tonumber('z', 36)
    return tonumber('8', 8)
    return tonumber(' 12 ')
    return tonumber('1e3')
    return tonumber('abc')
    return tonumber('')
    return tonumber(nil)
    return tonumber('1700000000') * 1000
    return tostring(tonumber('3000000000'))
    return tostring(tonumber('12.50'))
    return math.floor(-3.5) .. math.ceil(3.2) .. math.abs(-4)
    return math.floor(2^31 + 0.5) * math.floor(3.7)
    return math.max(1,5,3) + math.min(4,2)
    return math.sqrt(16) .. ''
    return math.mod(5,3) + math.fmod(-5,3) + math.pow(2,10)
    return {math.modf(3.7)}
    return {math.frexp(8)}
    return math.ldexp(0.5, 4)
    return tostring(math.log10(1000)) .. tostring(math.exp(0))
    return tostring(math.random())
    return {math.random(10), math.random(5,7), math.random(1000000)}
    math.randomseed(42) return {math.random(1000), math.random(1000)}
    return bit.band(0xff, 0x0f) .. bit.tohex(255) .. bit.bor(1, 2, 4) .. bit.lshift(1, 31)
    return bit.bnot(0) .. bit.bxor(5, 3) .. bit.rshift(-1, 28) .. bit.arshift(-8, 1) .. bit.rol(1, 31)
  `,
  "the libraries of Lua 5.1": String.raw`
    return unpack({1,2,3})
    return {unpack({1,2,3},2)}
    return {unpack({1,2,3},2,2)}
    return table.getn({1,2,3})
    return table.maxn({1,2,nil,4})
    return table.concat({1,2.5,'x'},',')
    return table.concat({}, ',')
    return table.concat({1,2,3}, '-', 2, 3)
    local t={3,1,2} table.sort(t) return t
    local t={3,1,2} table.sort(t, function(a,b) return a > b end) return t
    local t={} for i=1,3 do table.insert(t,i) end table.insert(t,1,9) table.remove(t,2) table.remove(t) return t
    local t={} for k,v in ipairs({4,5,nil,6}) do t[#t+1]=v end return t
    local n = 0 for k,v in pairs({a=1,b=2}) do n = n + v end return n
    local n = 0 table.foreach({1,2}, function(k,v) n = n + v end) return n
    local n = 0 table.foreachi({1,2}, function(k,v) n = n + k end) return n
    return select('#')
    return select('#', 1, nil)
    return {select(2,'a','b','c')}
    return select(-1,'a','b','c')
    return #{1,2,3} + #'abc'
    return next({}) == nil
    return rawequal('a', 'a') and rawget({5}, 1)
    return string.rep('a', 3) .. string.reverse('abc') .. string.sub('hello', 2, -2) .. string.upper('x')
    return string.sub('hello', 1, 5 / 2)
    return string.sub('hello', 2.9)
    return string.rep('ab', 2.7)
    return {string.find('hello world','o w')}
    return {string.find('a.b','.',1,true)}
    return {string.match('key=val','(%w+)=(%w+)')}
    return {string.gsub('hello','l','L')}
    return {string.gsub('hello','l','L',1)}
    return (string.gsub('a b c','%w',function(c) return c .. '!' end))
    return {string.byte('ABC', 1, -1)}
    return string.char(72,105)
    return string.len('a\0b')
    local t = {} for w in string.gmatch('a b c', '%a') do t[#t+1] = w end return t
    local t = {} for w in string.gfind('a b c', '%a') do t[#t+1] = w end return t
    return ('x'):rep(3)
    return ('%d'):format(5)
    return 'a' < 'b' and 'B' < 'a'
    return [[long]] .. [==[a]]b]==]
    return '\065\n\t'
    return 1 --[[c]] + 2 -- x
    return type(nil) .. type(1) .. type('') .. type({}) .. type(pairs)
    return tostring(nil) .. tostring(true)
    return coroutine.wrap(function() return 5 end)()
    local co = coroutine.create(function(a) local b = coroutine.yield(a + 1) return b * 2 end) local _, x = coroutine.resume(co, 1) local _, y = coroutine.resume(co, 10) return {x, y}
    return loadstring('return 7')()
    return loadstring('return ...')(8)
    return {loadstring('x x') == nil, (select(2, loadstring('return 1 1')))}
    local done = false return load(function() if done then return nil end done = true return 'return 9' end)()
    return {pcall(function() return 1, 2 end)}
    return ({pcall(error,'x')})[2]
    return ({pcall(function() error('x') end)})[2]
    return ({pcall(function() error({code=5}) end)})[2].code
    return ({pcall(function() local a = nil; return a.b end)})[2]
    return ({pcall(function() return nosuch end)})[2]
    return {xpcall(function() error('x') end, function(e) return 'H:' .. e end)}
    return {pcall(redis.call, 'nosuch')}
    local ok, e = pcall(redis.call, 'incr', 'a', 'b') return {tostring(ok), type(e), tostring(e)}
    return _VERSION
    return getmetatable('').__index == string
  `,
  cjson: String.raw`
    return cjson.encode({})
    return cjson.encode({1,2,nil,4})
    return cjson.encode({a=1})
    return cjson.encode({a={b={1,'x',true,false}}})
    return cjson.encode({[1]=1,[3]=3})
    return cjson.encode({[1]=1,[100]=3})
    return cjson.encode('a/b"\\\1\127é\n\t')
    return cjson.encode(1/3)
    return cjson.encode(3) .. cjson.encode(3.5) .. cjson.encode(-2)
    return cjson.encode(12345678901234567890)
    return cjson.encode(1700000000123)
    return cjson.encode(1/0)
    return cjson.encode(cjson.null)
    return cjson.encode(nil)
    return cjson.encode(true)
    return cjson.encode(tostring)
    return cjson.encode({[1.5]=1})
    return cjson.encode({[true]=1})
    return cjson.encode()
    return cjson.encode('x',1)
    local t = {} t.t = t return cjson.encode(t)
    return cjson.decode('{"a":[1,null,"\\u00e9\\ud83d\\ude00"]}').a
    return cjson.decode('[1.5,1e3,-2,true,false,"x"]')
    return cjson.decode('{"a":{"b":"c"}}').a.b
    return cjson.decode('"a\\n\\t\\"\\\\\\/b"')
    return cjson.decode('null') == cjson.null
    return cjson.decode(' [ ] ')
    return cjson.decode('{}')
    return cjson.decode('5')
    return cjson.decode(5)
    return cjson.decode('0x10')
    return cjson.decode('x')
    return cjson.decode('')
    return cjson.decode('[1,2')
    return cjson.decode('{"a":1')
    return cjson.decode('{a:1}')
    return cjson.decode('[1] x')
    return cjson.decode('"a')
    return cjson.decode('tru')
    return cjson.decode('[1,]')
    return cjson.decode('{"a" 1}')
    return cjson.encode(cjson.decode('[[],{},"",0,-0.5]'))
  `,
  errors: String.raw`
    return nosuch
    x = 1
    function f() end
    string.foo = 1
    redis.foo = 1
    cjson.foo = 1
    rawset(_G, 'a', 1)
    setmetatable(_G, {})
    KEYS[2] = 'mine' return KEYS[2]
    return redis.nosuch
    return redis.nosuch()
    return dofile
    return os.time()
    return io
    return require
    return redis.call()
    return redis.pcall()
    return redis.call('nosuch')
    return redis.pcall('nosuch')
    return redis.call('get')
    return redis.call('get', {})
    return redis.call('set', 'a', nil)
    return redis.call('set', 'a', true)
    return redis.call('eval', 'return 1', 0)
    return redis.call('multi')
    return redis.call('subscribe', 'c')
    return redis.call('script', 'flush')
    redis.call('set','s','v') return redis.call('lpush','s','1')
    redis.call('set','s','v') return redis.pcall('lpush','s','1')
    redis.call('set','s','v') return redis.pcall('lpush','s','1').err
    redis.call('set','s','v') return {1, redis.pcall('lpush','s','1'), 2}
    local e = redis.pcall('incrby', 's', 'x') return type(e) .. e.err
    return redis.call('zadd', 'z', 'x', 'a')
    return redis.call('set', 'a', 'b', 'px')
    error('boom')
    error('boom', 0)
    error('boom', 2)
    error({err='MY boom'})
    error({err='boom'})
    error(redis.error_reply('MY reply'))
    error()
    error(12)
    return assert(false, 'msg')
    return assert(nil)
    return assert(redis.pcall('nosuch').err == nil, 'failed')
    local function f() return redis.call('nosuch') end return f()
    local function f() error('deep') end local function g() f() end g()
    local a = {} ; a.b.c = 1
    local f = nil; f()
    local t = {} t:m()
    local t = {} return t.a + 1
    local s = 'x' return s + 1
    return #nil
    return -{}
    return 1 < 'x'
    return {} < {}
    return {} .. 'x'
    return 'a' .. nil
    return nil > 1
    return KEYS[9].x
    local t = {} t[nil] = 1
    for i = 1, 'x' do end
    return math.floor('x')
    return math.floor()
    return string.rep()
    return tostring()
    return setmetatable(1, {})
    return string.format('%d', 'x')
    return string.format('%s', nil)
    return string.format('%s')
    return string.format('%y', 1)
    return table.concat({1,{},'x'},',')
    return redis.sha1hex()
    return redis.log('x')
    return redis.setresp(4)
    return if
    return 1 1
    if 1 then
    return @
    return 5 // 2
    x = = 1
    local a <const> = 1
    return 'abc
    return [[abc
  `,
};

/** The library's style of scripts: a whole batch in one call, microseconds in scores, an undo for what came too late. */
const CLAIM = String.raw`
local due = redis.call('ZRANGE', KEYS[1], '-inf', ARGV[1], 'BYSCORE', 'LIMIT', 0, ARGV[2])
local lease = string.format('%.0f', ARGV[1] + ARGV[3])
for _, member in ipairs(due) do redis.call('ZADD', KEYS[1], 'XX', lease, member) end
return due`;
const STAMP = String.raw`
local unstamped = redis.call('ZRANGE', KEYS[1], '-inf', '(0', 'BYSCORE', 'WITHSCORES')
for i = 1, #unstamped, 2 do
  redis.call('ZADD', KEYS[1], 'XX', string.format('%.0f', ARGV[1] * 1000000 + ARGV[2] - unstamped[i + 1]), unstamped[i])
end
return #unstamped / 2`;
const COMPLETE = String.raw`
local old = redis.call('SET', KEYS[1], 'D' .. ARGV[2], 'XX', 'GET', 'PX', ARGV[3])
if not old then return 'lost' end
if old ~= 'L' .. ARGV[1] then redis.call('SET', KEYS[1], old, 'KEEPTTL') return {'other', old} end
return 'done'`;
const RELEASE = String.raw`
local old = redis.call('GETDEL', KEYS[1])
if old and old ~= 'L' .. ARGV[1] then redis.call('SET', KEYS[1], old) return 0 end
return old and 1 or -1`;

describe.skipIf(redisServer === undefined)("the embedded Redis beside a real one", () => {
  let server: RedisServerBackend;
  const engine = createRedisEngine();

  beforeAll(async () => {
    server = await connectRedisServer({ host: "127.0.0.1", port: redisServer?.port ?? 0 });
  });
  afterAll(() => redisServer?.stop());
  afterAll(() => server.close());
  beforeEach(async () => {
    await server.execute(["FLUSHALL"]);
    await server.execute(["SCRIPT", "FLUSH"]);
    engine.execute(["FLUSHALL"]);
    engine.execute(["SCRIPT", "FLUSH"]);
  });

  /** Runs the commands on both; lists each command that was answered differently. */
  const compare = async (commands: readonly (readonly string[])[]): Promise<void> => {
    expect(commands.length).toBeGreaterThan(0);
    const [real, embedded] = [
      await Promise.all(commands.map((args) => server.execute(args))),
      commands.map((args) => engine.execute(args)),
    ];
    const differences = commands
      .map((args, index) => ({
        args,
        embedded: comparable(args, embedded[index]),
        real: comparable(args, real[index]),
      }))
      .filter((answer) => !isDeepStrictEqual(answer.embedded, answer.real));
    expect(differences).toEqual([]);
  };

  describe("answers fixed commands alike:", () => {
    for (const [subject, table] of Object.entries(TABLES)) {
      test(subject, () => compare(lines(table).map(parseCommand)));
    }
  });

  describe("runs scripts alike:", () => {
    for (const [subject, table] of Object.entries(SCRIPTS)) {
      test(subject, () => compare(lines(table).map((script) => ["EVAL", fromText(script), "1", "k", "7", "text", ""])));
    }
  });

  describe("answers random commands alike:", () => {
    const SEEDS = [1, 2, 3];
    const LENGTH = 1500;

    for (const [subject, next] of Object.entries(RANDOM_COMMANDS)) {
      test.for(SEEDS)(`${subject}, seed %i`, async (seed) => {
        const random = createRandom(seed);
        const commands = Array.from({ length: LENGTH }, () => next(random));
        // A time to live that begins when a command runs ends in another second on a server that is asked a moment later.
        const expiry = commands.some((command) => command.includes("1000000")) ? "PERSIST" : "EXPIRETIME";
        await compare(commands);
        await compare(
          KEYS.flatMap((key) => [
            ["TYPE", key],
            [expiry, key],
            ["ZRANGE", key, "0", "-1", "WITHSCORES"],
          ]),
        );
      });
    }
  });

  test("keeps the order of a sorted set of 20,000 members with equal and unequal scores", async () => {
    const random = createRandom(7);
    const members = Array.from({ length: 20_000 }, (_, index) => [String(random.below(5000)), `m${index}`]);
    const added = Array.from({ length: 20 }, (_, part) => [
      "ZADD",
      "z",
      ...members.slice(part * 1000, (part + 1) * 1000).flat(),
    ]);
    const removed = members.filter(() => random.below(3) === 0).map(([, member = ""]) => ["ZREM", "z", member]);
    await compare([...added, ...removed, ["ZCARD", "z"], ["ZRANGE", "z", "0", "-1", "WITHSCORES"]]);
    await compare(members.slice(0, 500).map(([, member = ""]) => ["ZRANK", "z", member]));
    await compare([
      ["ZREMRANGEBYSCORE", "z", "1000", "(3000"],
      ["ZCOUNT", "z", "-inf", "+inf"],
      ["ZREVRANGE", "z", "0", "99"],
    ]);
  });

  test("commits a transaction alike, with the errors in it, and discards one with a malformed command", async () => {
    const transactions = [
      [
        ["SET", "k", "v"],
        ["LPUSH", "k", "x"],
        ["GET", "k"],
      ],
      [["SET", "k", "w"], ["NOSUCH"], ["GET", "k"]],
      [["SET", "k", "w"], ["GET"]],
      [
        ["SET", "k", "w", "FOO"],
        ["GET", "k"],
      ],
    ];
    for (const commands of transactions) {
      expect(engine.transaction(commands)).toEqual(await server.transaction(commands));
    }
  });

  test("bills a script with the commands inside it as the server counts them", async () => {
    const commands = [
      ["ZADD", "due", "5", "a", "6", "b"],
      ["EVAL", CLAIM, "1", "due", "10", "5", "100"],
      ["EVAL", "return redis.pcall('lpush', 'due', 'x')", "0"],
      ["EVALSHA", "0000000000000000000000000000000000000000", "0"],
      ["GET", "due"],
      ["GET"],
      ["NOSUCH"],
      ["PING"],
      ["MGET", "a", "b"],
    ];
    await server.resetBilled();
    engine.resetBilled();
    await compare(commands);
    expect(engine.billed()).toEqual(await server.billed());
    expect(engine.billed().byCommand).toMatchObject({ EVAL: 2, ZRANGE: 1, ZADD: 3, LPUSH: 1, EVALSHA: 1, GET: 1 });
  });

  test("runs a script with Upstash's key locking flag on the server, too, by its own SHA-1", async () => {
    const script = "#!lua flags=allow-key-locking\nreturn redis.call('SET', KEYS[1], ARGV[1])";
    const sha1 = sha1Hex(script);
    expect(engine.execute(["SCRIPT", "LOAD", script])).toBe(sha1);
    expect(await server.execute(["SCRIPT", "LOAD", script])).toBe(sha1);
    await compare([
      ["EVALSHA", sha1, "1", "k", "v"],
      ["EVAL", script, "1", "k", "w"],
      ["SCRIPT", "EXISTS", sha1],
      ["GET", "k"],
    ]);
  });
});

const KEYS = ["a", "b", "c"];

interface Random {
  /** A whole number from 0 to below `limit`. */
  below(limit: number): number;
  pick<Item>(items: readonly Item[]): Item;
  /** The words, or nothing. */
  maybe(...words: string[]): string[];
}

/** A small generator (mulberry32), the same in every run. */
function createRandom(seed: number): Random {
  let state = seed;
  const next = (): number => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  const below = (limit: number): number => Math.floor(next() * limit);
  return {
    below,
    pick: (items) => items[below(items.length)]!,
    maybe: (...words) => (below(2) === 0 ? words : []),
  };
}

const RANDOM_COMMANDS: Readonly<Record<string, (random: Random) => string[]>> = {
  "sorted sets": (random) => {
    const key = random.pick(KEYS);
    const member = `m${random.below(30)}`;
    const score = (): string =>
      random.pick([
        String(random.below(10)),
        "0.5",
        "-3.25",
        "1700000000123456",
        "-1700000000654321",
        "9007199254740991",
        "inf",
        "-inf",
      ]);
    const bound = (): string => random.pick(["", "("]) + score();
    const limit = randomLimit(random);
    return random.pick<() => string[]>([
      () => [
        "ZADD",
        key,
        ...random.maybe(random.pick(["NX", "XX", "GT", "LT"])),
        ...random.maybe("CH"),
        score(),
        member,
        score(),
        `m${random.below(30)}`,
      ],
      () => ["ZADD", key, ...random.maybe(random.pick(["NX", "XX", "GT", "LT"])), "INCR", score(), member],
      () => ["ZINCRBY", key, score(), member],
      () => ["ZREM", key, member, `m${random.below(30)}`],
      () => [
        "ZRANGE",
        key,
        String(random.below(20) - 10),
        String(random.below(20) - 10),
        ...random.maybe("REV"),
        ...random.maybe("WITHSCORES"),
      ],
      () => [
        "ZRANGE",
        key,
        bound(),
        bound(),
        "BYSCORE",
        ...random.maybe("REV"),
        ...limit,
        ...random.maybe("WITHSCORES"),
      ],
      () => ["ZCOUNT", key, bound(), bound()],
      () => [random.pick(["ZRANK", "ZREVRANK", "ZSCORE"]), key, member],
      () => ["ZMSCORE", key, member, "nope", `m${random.below(30)}`],
      () => ["ZREMRANGEBYSCORE", key, bound(), score()],
      () => ["ZREMRANGEBYRANK", key, String(random.below(20)), String(random.below(20))],
      () => [random.pick(["ZPOPMIN", "ZPOPMAX"]), key, ...random.maybe(String(random.below(3)))],
      () => ["ZRANGESTORE", random.pick(KEYS), key, bound(), bound(), "BYSCORE", ...random.maybe("REV"), ...limit],
      () => ["ZCARD", key],
    ])();
  },
  "sorted sets in the order of their bytes": (random) => {
    const key = random.pick(KEYS);
    const member = (): string => random.pick(["a", "b", "B", "aa", "ab", "1", "é", ""]).repeat(1 + random.below(2));
    const bound = (): string => random.pick(["-", "+", `[${member()}`, `(${member()}`]);
    const limit = randomLimit(random);
    return random
      .pick<() => string[]>([
        () => ["ZADD", key, "0", member(), "0", member()],
        () => ["ZREM", key, member()],
        () => ["ZRANGE", key, bound(), bound(), "BYLEX", ...random.maybe("REV"), ...limit],
        () => ["ZRANGEBYLEX", key, bound(), bound(), ...limit],
        () => ["ZREVRANGEBYLEX", key, bound(), bound(), ...limit],
        () => ["ZLEXCOUNT", key, bound(), bound()],
        () => ["ZREMRANGEBYLEX", key, `[${member()}`, `(${member()}`],
        () => ["ZRANK", key, member()],
      ])()
      .map(fromText);
  },
  "strings with expiry": (random) => {
    const key = random.pick(KEYS);
    const value = random.pick(["v", "w", "1", "-5", "10", "text"]);
    // Absolute times only: two servers read their clocks at different moments.
    const expiry = (): string[] =>
      random.maybe(
        ...random.pick([["EXAT", "4102444800"], ["PXAT", "4102444800123"], ["EXAT", "1"], ["KEEPTTL"], ["PX", "0"]]),
      );
    return random.pick<() => string[]>([
      () => ["SET", key, value, ...random.maybe(random.pick(["NX", "XX"])), ...random.maybe("GET"), ...expiry()],
      () => ["SET", key, value, ...expiry(), ...random.maybe("XX"), ...random.maybe("GET")],
      () => ["GET", key],
      () => ["GETDEL", key],
      () => ["GETEX", key, ...random.maybe(...random.pick([["PERSIST"], ["EXAT", "1"], ["PXAT", "4102444800999"]]))],
      () => ["PEXPIRETIME", key],
      () => [
        "EXPIREAT",
        key,
        random.pick(["4102444000", "4102444800", "4102445000", "1"]),
        ...random.maybe(random.pick(["NX", "XX", "GT", "LT"])),
      ],
      () => ["PERSIST", key],
      () => [random.pick(["INCR", "DECR"]), key],
      () => ["INCRBYFLOAT", key, random.pick(["0.1", "1.5", "-2", "3.0e2"])],
      () => ["APPEND", key, value],
      () => ["STRLEN", key],
      () => ["MGET", ...KEYS],
      () => [random.pick(["RENAME", "RENAMENX"]), key, random.pick(KEYS)],
      () => ["DEL", key],
      () => ["EXISTS", ...KEYS],
    ])();
  },
  "hashes, sets and lists under the same keys": (random) => {
    const key = random.pick(KEYS);
    const field = `f${random.below(6)}`;
    const index = (): string => String(random.below(10) - 5);
    return random.pick<() => string[]>([
      () => ["HSET", key, field, String(random.below(9)), `f${random.below(6)}`, "x"],
      () => ["HSETNX", key, field, "n"],
      () => ["HINCRBY", key, field, String(random.below(9) - 4)],
      () => ["HDEL", key, field, `f${random.below(6)}`],
      () => ["HGETALL", key],
      () => ["HMGET", key, field, "nope"],
      () => ["SADD", key, field, `f${random.below(6)}`],
      () => ["SREM", key, field, `f${random.below(6)}`],
      () => ["SMEMBERS", key],
      () => [random.pick(["LPUSH", "RPUSH"]), key, field, `f${random.below(6)}`],
      () => [random.pick(["LPOP", "RPOP"]), key, ...random.maybe(String(random.below(3)))],
      () => ["LRANGE", key, index(), index()],
      () => ["LTRIM", key, index(), index()],
      () => ["LREM", key, index(), field],
      () => ["LINDEX", key, index()],
      () => ["TYPE", key],
      () => ["DEL", key],
      () => ["RENAME", key, random.pick(KEYS)],
    ])();
  },
  "the scripts of a log and an inbox": (random) => {
    const key = random.pick(["a", "b"]);
    const inbox = "c";
    const member = `id${random.below(10)}|payload`;
    const token = String(random.below(3));
    const nowMicros = 1_700_000_000_000_000 + random.below(1_000_000);
    return random.pick<() => string[]>([
      () => ["ZADD", key, "NX", `-${random.below(5_000_000)}`, member],
      () => ["ZADD", key, "NX", String(nowMicros), member],
      () => ["EVAL", STAMP, "1", key, "1700000000", String(random.below(1_000_000))],
      () => ["EVAL", CLAIM, "1", key, String(nowMicros), "3", "30000000"],
      () => ["ZMSCORE", key, member, `id${random.below(10)}|payload`],
      () => ["ZREM", key, member],
      () => ["SET", inbox, `L${token}`, "NX", "GET", "PX", "1000000"],
      () => ["EVAL", COMPLETE, "1", inbox, token, "result", "5000000"],
      () => ["EVAL", RELEASE, "1", inbox, token],
      () => ["GET", inbox],
    ])();
  },
};

function randomLimit(random: Random): string[] {
  return random.maybe("LIMIT", String(random.below(5) - 1), String(random.below(6) - 1));
}

function lines(table: string): string[] {
  return table
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "");
}

function parseCommand(line: string): string[] {
  const words = line.match(/"(?:[^"\\]|\\.)*"|\S+/g) ?? [];
  return words.map((word) => fromText(word.startsWith('"') ? String(JSON.parse(word)) : word));
}

const UNORDERED: ReadonlySet<string> = new Set(["KEYS", "SCAN", "SMEMBERS", "SSCAN"]);

/** Sorts what Redis lists in the order of a hash table. */
function comparable([name = ""]: readonly string[], reply: RedisReply | undefined): unknown {
  if (!UNORDERED.has(name.toUpperCase()) || reply === undefined || !isRedisArray(reply)) return reply;
  return sorted(reply.map((element) => (isRedisArray(element) ? sorted(element) : element)));
}

function sorted(replies: readonly RedisReply[]): RedisReply[] {
  return [...replies].sort((left, right) => (JSON.stringify(left) < JSON.stringify(right) ? -1 : 1));
}
