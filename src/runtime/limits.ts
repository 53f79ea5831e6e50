/**
 * Every default bound in one place: its value, why this number, and what
 * happens when it is reached. Each is an option of the thing it bounds.
 *
 * @module
 */

const MEBIBYTE = 1024 * 1024;

/**
 * Bytes of one line of the wire, without its newline. A row that would not fit
 * is refused when it is written; a longer line that arrives gets an ERROR and
 * ends its connection. 1 MiB holds any sane row and bounds a reader's buffer.
 */
export const MAX_LINE_BYTES: number = MEBIBYTE;

/**
 * The same where Synapse listens: 16,384 is what its side takes, and what it
 * does with a longer line is to close the connection, over and over.
 */
export const SYNAPSE_MAX_LINE_BYTES = 16_384;

/**
 * Bytes of one INVALIDATE line that holds more than one key. Beyond, a
 * transaction's invalidations go on in another. A reader that takes shorter
 * lines only is sent rows. Longer ones would not be read any faster.
 */
export const COMPACT_LINE_BYTES = 16_384;

/**
 * Bytes that wait for one reader's socket. Beyond, the reader is disconnected
 * with ERROR and catches up from the log: about 200,000 invalidations. One
 * text that is larger may wait beside them.
 */
export const MAX_OUTBOX_BYTES: number = 16 * MEBIBYTE;

/**
 * Rows of one transaction. Beyond, the write is refused: a reader holds a
 * transaction's rows in memory until it is complete.
 */
export const MAX_ROWS_PER_TRANSACTION: number = 100_000;

/** Bytes of one transaction's rows as JSON. Beyond, the write is refused. */
export const MAX_TRANSACTION_BYTES: number = 64 * MEBIBYTE;

/** Bytes that SQLite's log file is lengthened by at a time, ahead of its commits; at most its length. */
export const LOG_ROOM_BYTES: number = MEBIBYTE;

/** Transactions that wait for the write connection. Beyond, the next is refused. */
export const MAX_QUEUED_TRANSACTIONS: number = 10_000;

/**
 * How long, in ms, a transaction waits for the write connection, or to be
 * recorded after others, before it is refused. It also ends the deadlock of a transaction opened within another.
 */
export const QUEUE_TIMEOUT_MS: number = 30_000;

/** How long, in ms, SQLite waits for another process's lock. */
export const BUSY_TIMEOUT_MS: number = 5_000;

/**
 * Read-only connections kept for transactions and streamed queries of a store;
 * plain queries share one more. A further one waits for its turn.
 */
export const MAX_READ_CONNECTIONS: number = 8;

/** Transactions that one statement records on PostgreSQL, at most. */
export const MAX_RECORDED_TOGETHER: number = 128;

/** Characters that it records, at most; of one transaction alone, as many as it has. */
export const MAX_RECORDED_CHARS: number = MEBIBYTE;

/** Transactions that run at a time on PostgreSQL, each on a connection of its own. */
export const MAX_WRITE_CONNECTIONS: number = 10;

/** Prepared statements kept for each connection; the oldest goes. */
export const MAX_STATEMENTS: number = 256;

/** Connections that a listener serves at a time. One more is closed with ERROR. */
export const MAX_CONNECTIONS: number = 10_000;

/**
 * How long, in ms, one attempt to connect may take, with TLS's handshake, before
 * it is given up and made again.
 */
export const CONNECT_ATTEMPT_TIMEOUT_MS: number = 5_000;

/** Connections that wait to be accepted, in the kernel. */
export const LISTEN_BACKLOG: number = 511;

/** How often, in ms, a side that has sent nothing else sends PING. */
export const PING_INTERVAL_MS: number = 5_000;

/** How long, in ms, a peer may be silent before it is taken for dead. */
export const SILENCE_TIMEOUT_MS: number = 15_000;

/**
 * How long, in ms, a connection may take to say anything at all. One that was
 * never heard by then gets an ERROR and is closed: it would hold its place for ever.
 */
export const FIRST_COMMAND_TIMEOUT_MS: number = 10_000;

/**
 * Handlers of one connection's commands that run at a time. Beyond, nothing is
 * read from it until one has ended.
 */
export const MAX_RUNNING_HANDLERS: number = 1_000;

/**
 * Users, by process and device, that are known to be present. Beyond, further
 * ones are not taken in: about 50 MB.
 */
export const MAX_PRESENT_USERS: number = 100_000;

/** Characters of the id of a process, or of a user's session: longer ones are not remembered. */
export const MAX_ID_CHARS: number = 1_024;

/**
 * Processes that are told apart on one connection, which are many behind a
 * relay. Beyond, it is sent what is for any process.
 */
export const MAX_IDS_PER_CONNECTION: number = 1_000;

/** How long, in ms, a process whose connection was lost keeps its users: a reconnection takes less. */
export const PRESENCE_GRACE_MS: number = 10_000;

/** How long, in ms, a process that says nothing at all keeps its users. */
export const PRESENCE_TIMEOUT_MS: number = 300_000;

/** How often, in ms, the positions of streams without rows are announced. */
export const ANNOUNCE_INTERVAL_MS: number = 1_000;

/** The first pause, in ms, before a follower connects again; each next is e times longer. */
export const MIN_BACKOFF_MS: number = 100;

/** The longest pause, in ms, before a follower connects again. */
export const MAX_BACKOFF_MS: number = 2_000;

/** How long, in ms, `SlavedStore.connect` tries before it fails. */
export const CONNECT_TIMEOUT_MS: number = 10_000;

/** How long, in ms, `waitFor` waits unless told otherwise. */
export const WAIT_TIMEOUT_MS: number = 10_000;

/** Records that one transaction of retention deletes: some ms of the write lock. */
export const RETENTION_CHUNK_RECORDS: number = 1_000;

/** How often, in ms, a writer deletes what its log need not keep. */
export const RETENTION_INTERVAL_MS: number = 60 * 60 * 1000;

/** How often, in ms, a projection looks for events where nobody pokes. */
export const PROJECTION_POLL_MS: number = 100;

/** Events that one transaction of a projection takes in, about. */
export const MAX_BATCH_EVENTS: number = 500;

/** Attempts at an event before it is parked. */
export const MAX_TRIES: number = 5;

/** Attempts at adopting a position, or at fetching what was missed, before the connection ends. */
export const MAX_ADOPTION_TRIES: number = 7;

/**
 * Holders of an instance's name that are remembered: the newest. A commit or a
 * position's text of a time before them is refused with LOG_REWOUND.
 */
export const MAX_HOLDERS: number = 10_000;

/** How often, in ms, a reader notes the commit id of the token it has reached. */
export const MARK_INTERVAL_MS: number = 1_000;

/**
 * How often, in ms, a reader looks in the database for instances that it is not
 * connected to.
 */
export const POLL_INTERVAL_MS: number = 1_000;

/** How long, in ms, `SlavedStore.connect` waits for the first such look. */
export const FIRST_LOOK_TIMEOUT_MS: number = 1_000;

/** Callers that wait for a token at a time. One more is refused. */
export const MAX_WAITERS: number = 100_000;

/**
 * Rows that wait behind a batch which a handler failed on and is to get again.
 * Beyond, that batch is given up: as many as one transaction may have.
 */
export const MAX_QUEUED_ROWS: number = 100_000;

/** Streams whose rows a reader counts apart. Those of further ones are in the sum only. */
export const MAX_COUNTED_STREAMS: number = 1_000;

/**
 * Keys of one cache that a catch-up invalidates one by one in a step, of
 * thousands of transactions. Beyond, the cache is cleared: to look each of a million keys up takes longer than to load again
 * what is still asked for.
 */
export const MAX_CATCH_UP_KEYS: number = 10_000;

/** Log records of a page of a catch-up: some ms of work in one turn. */
export const CATCH_UP_PAGE_RECORDS: number = 8_192;

/** Bytes of such a page; more only if one transaction has more. Two are held at a time. */
export const CATCH_UP_PAGE_BYTES: number = 2 * MEBIBYTE;

/**
 * Characters of a position's text form: what fits in a cookie. One of more
 * instances than fit (40 with the longest names, 200 with usual ones) is refused.
 */
export const MAX_POSITION_TEXT: number = 4_096;

/** Log records that reads of events hold at a time. */
export const PAGE_RECORDS: number = 256;

/** Log records of the first page of a range, before it is known how long they are. */
export const FIRST_PAGE_RECORDS: number = 128;

/** Characters of the later pages of a range: catch-up holds two at a time. */
export const PAGE_CHARS: number = MEBIBYTE;

/** Log records of a page, however short they are. */
export const MAX_PAGE_RECORDS: number = 1_024;

/** Aggregates whose versions a writer remembers. */
export const MAX_REMEMBERED_AGGREGATES: number = 10_000;

/** Rows in one answer of `readRows`, unless told otherwise. */
export const PAGE_ROWS: number = 1_000;

/** How long, in ms, a lease holds without being renewed. It is renewed three times in that time. */
export const LEASE_MS: number = 15_000;

/**
 * Streams, by instance, whose last token `follow` keeps to drop what it is told
 * twice. Beyond, the one that was silent longest is forgotten.
 */
export const MAX_FOLLOWED_STREAMS: number = 10_000;

/** Instances that one connection may tell of. One more ends it with ERROR. */
export const MAX_INSTANCES: number = 1_000;

/** How long, in ms, `close()` waits for written bytes to leave before it cuts a connection. */
export const CLOSE_GRACE_MS: number = 500;

/** How deep the values of a row or of an event may be nested. */
export const MAX_JSON_DEPTH: number = 100;

/**
 * How long, in ms, a writer works without giving the event loop a turn. SQLite
 * answers at once, so a loop of awaited transactions would otherwise keep
 * sockets and timers waiting for ever.
 */
export const MAX_TURN_MS: number = 1;

/** Times that a transaction is run at most, where PostgreSQL makes it fail for others' sake. */
export const MAX_ATTEMPTS: number = 5;

/** How long, in ms, a caller waits to learn of a commit whose answer was lost. */
export const SETTLE_TIMEOUT_MS: number = 30_000;

/**
 * Transactions that are committed and wait to be told of, for a lower token is
 * open. Beyond, the next is refused: their rows are held in memory.
 */
export const MAX_HELD_TRANSACTIONS: number = 10_000;

/**
 * Rows of one ephemeral stream that a writer holds for readers that were away.
 * Beyond, the oldest go; whoever needed them clears its caches.
 */
export const MAX_EPHEMERAL_ROWS: number = 10_000;

/** Bytes of those rows. A single write of more is refused. */
export const MAX_EPHEMERAL_BYTES: number = 16 * MEBIBYTE;

/** How long, in ms, they are held: longer than any reconnection takes. */
export const EPHEMERAL_AGE_MS: number = 5 * 60 * 1000;

/** Rows, about, in one answer of the replication endpoint; tokens are whole. */
export const UPDATES_PAGE_ROWS: number = 100;

/** Bytes of a request's body, or of an answer's. Beyond, it is refused. */
export const MAX_BODY_BYTES: number = 16 * MEBIBYTE;

/** How long, in ms, a request may take to arrive whole. */
export const REQUEST_TIMEOUT_MS: number = 30_000;

/** Calls of workers that run at a time. One more is told to come again. */
export const MAX_RUNNING_CALLS: number = 1_000;

/** How long, in ms, a call is tried before it fails. */
export const CALL_TIMEOUT_MS: number = 30_000;

/** How long, in ms, one try of a call waits for its answer. */
export const CALL_TRY_TIMEOUT_MS: number = 10_000;

/** How long, in ms, the answer to a call is kept for those that ask again. */
export const CALL_RETENTION_MS: number = 24 * 60 * 60 * 1000;
/** How often, in ms, Redis is asked whether it is there; also how long its answer may take. */
export const REDIS_PING_INTERVAL_MS: number = 30_000;

/** The longest pause, in ms, before a listener connects to Redis again. It never gives up. */
export const MAX_REDIS_BACKOFF_MS: number = 5_000;

/**
 * Characters that a busy reader holds of what Redis sends, which can't be
 * stopped. Beyond, its connection ends, and it catches up from the log.
 */
export const MAX_HELD_CHARS: number = 16 * MEBIBYTE;

/**
 * The shortest pause, in ms, between two NOTIFYs of a writer. Each makes every
 * reader look in the database: a hundred looks a second are some percent of a
 * processor, and ten ms are less than people notice.
 */
export const NOTIFY_INTERVAL_MS: number = 10;

/** How often, in ms, a reader makes sure that it still listens for NOTIFY; also how long that may take. */
export const LISTEN_CHECK_INTERVAL_MS: number = 5_000;

/**
 * Transactions whose invalidations a store remembers for `why`. Beyond, the
 * oldest are forgotten: some seconds at full load, hours at a usual one.
 */
export const MAX_JOURNAL_TRANSACTIONS: number = 10_000;

/** Bytes that these invalidations take, about: 100,000 keys. Beyond, the oldest are forgotten. */
export const MAX_JOURNAL_BYTES: number = 8 * MEBIBYTE;

/** Loads that a store remembers for `why`: about 2 MB. Beyond, the oldest are forgotten. */
export const MAX_JOURNAL_LOADS: number = 10_000;

/** Entries that an audit reads anew in a second, unless told otherwise. */
export const AUDIT_BUDGET_PER_SECOND: number = 10;

/** The share of a cache's entries that an audit reads anew each time it goes through it. */
export const AUDIT_SAMPLE_RATE: number = 0.1;

/**
 * Tokens whose changes a change cache remembers. Beyond, the lowest is forgotten:
 * whoever asks about one before it is told that everything may have changed.
 */
export const MAX_CHANGE_POSITIONS: number = 10_000;

/** Entities of a change cache: about 15 MB. Beyond, the lowest tokens are forgotten. */
export const MAX_CHANGED_ENTITIES: number = 100_000;

/**
 * Tokens back from its end that the log is searched for changes when a change
 * cache is filled: some tens of ms where a stream has few rows among many.
 */
export const MAX_PREFILL_TOKENS: number = 100_000;

/** Entries of a response cache, calls that run included. */
export const MAX_RESPONSES: number = 10_000;

/** Entries of a cache whose entries expire. Beyond, the oldest goes. */
export const MAX_EXPIRING_ENTRIES: number = 10_000;

/** Sub-keys, about, that a dictionary cache holds; the least recently used go. */
export const MAX_DICTIONARY_ENTRIES: number = 10_000;

/** Keys that one call of a list's method is given. */
export const MAX_LIST_KEYS: number = 10_000;

/**
 * Loads of one cache that wait for one of its `maxConcurrentLoads` to end.
 * Beyond, a call is refused: it would wait for longer than its caller does.
 */
export const MAX_QUEUED_LOADS: number = 10_000;

/**
 * The longest time, in ms, by which a load is put off whose callers are served
 * an old entry meanwhile; half of the time that they may be, if that is less.
 * It keeps processes that were cleared together from loading together.
 */
export const REVALIDATE_JITTER_MS: number = 1_000;

/**
 * The part of an equal share of `cacheMemory` that a cache keeps though its
 * entries are the oldest: a tenth costs others little, and a cache that is used
 * once an hour still has something then.
 */
export const CACHE_MIN_SHARE: number = 0.1;

/**
 * Names in the `caches` stream that a process has neither as a cache nor as a
 * group, and remembers to be no groups. Where more than these come at once, all
 * is cleared if there is a group that one of them could be.
 */
export const MAX_UNKNOWN_NAMES: number = 10_000;
