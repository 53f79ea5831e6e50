// What a channel of Redis, on which everybody hears everybody, can't be asked
// for: cases by their names, and why. Each has its likes in channel_*.ts, which
// are run in its place; more of a channel's own is in
// tests/transport/redis_*.test.ts and tests/replication/shared_channel.test.ts.

/** Cases of one reason. */
function because(
  reason: string,
  ...cases: readonly string[]
): Record<string, string> {
  return Object.fromEntries(cases.map((name) => [name, reason]));
}

/** The cases that do not apply, by their names. */
export const CHANNEL_EXCEPTIONS: Readonly<Record<string, string>> = {
  ...because(
    "everybody hears everybody, oneself too",
    "both ends hear each other",
    "many connect at once, each for itself",
    "both ways at once",
    "the same bytes to many connections",
    "pause() holds back all that comes",
    "one that is paused holds up no other",
    "both ends have a name, and are not shared",
  ),
  ...because(
    "the listener's one connection is there from the beginning",
    "whoever listens may speak first",
    "both may speak at once, before anything is read",
    "what is sent while it connects waits for the handler",
    "an attempt whose signal is aborted is not made",
    "an attempt can be given up",
    "pausing before anything is read",
    "several readers",
    "follow() is given the rows",
  ),
  ...because(
    "there is no other end that could close, or be gone",
    "one after the other, none is left",
    "connecting again after closing",
    "connecting again after being closed",
    "two connections from one place are two",
    "what was sent arrives, from who connected",
    "what was sent arrives, from the listener",
    "what is sent afterwards does not",
    "closed() is said once, on both ends",
    "closing twice is closing once",
    "closed() comes last",
    "closing while lines are taken ends them",
    "closing while it is accepted",
    "closing as soon as it is connected",
    "closing from within closed() is nothing",
    "closing a paused connection",
    "being closed while paused: what had come is given",
    "nothing waits once it is over",
    "others live on",
    "who connected is killed",
    "who listens is killed",
    "it is killed in the middle of a line",
    "it is killed while much is on its way to it",
    "what is written while a reader is away is fetched",
    "a reader comes again over the same place",
  ),
  ...because(
    "the channel is there whether or not anybody listens",
    "Listener.close() leaves the connections that are there",
    "Listener.close() lets nobody in",
    "Listener.close() twice",
    "listening where somebody listens",
    "connecting where nobody listens any more",
    "an attempt that is made again succeeds",
  ),
  ...because(
    "a listener asks Redis every now and then whether it is there",
    "both ends at once",
    "no timer is left",
    "an attempt leaves no timer",
  ),
  ...because(
    "a message is a whole line: an empty one is none, and half a line can't be",
    "half a line at the end is no line",
    "a line that is only a newline",
    "empty lines among others",
    "a line cut at any byte",
    "a line byte by byte",
    "cuts at random",
    "the end of a line opens the next",
  ),
  ...because(
    "Redis takes all that is sent, and drops whoever doesn't read",
    "queuedBytes grows while the other end is paused",
    "queuedBytes falls once the other end reads",
    "queuedBytes counts bytes, of text as of bytes",
    "a peer that never reads does not hold up send()",
  ),
  ...because(
    "a message that is too long ends one's own connection; the others go on",
    "a line that is too long is told once, and nothing after it",
    "its end is not waited for",
    "its length is counted in bytes",
    "the other way as well",
    "what came before it is handed on first",
    "others are untouched",
    "whoever got it can still say so, and close",
    "it is told though the connection is paused and resumed",
  ),
  ...because(
    "Redis clients give text: bytes that are none become U+FFFD",
    "what came before it is handed on first, though the connection is paused",
    "not UTF-8: a byte that never is",
    "not UTF-8: half a character",
    "not UTF-8: a surrogate",
    "not UTF-8: a longer form than needed",
  ),
  ...because(
    "each line is a message that Redis answers: seconds, on a busy machine",
    "20,000 of them arrive in order, to the listener",
    "20,000 of them arrive in order, to who connected",
  ),
  ...because(
    "nobody says SERVER",
    "a server of another name is refused",
  ),
};
