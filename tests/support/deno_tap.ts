// tap reads V8's call sites and looks at the name of their constructor. Deno's
// have none, so they are given one; then tap's files run there as they are.

const original = Error.prepareStackTrace;
let callSite: object | undefined;
Error.prepareStackTrace = (_error, sites) => {
  callSite = sites[0];
  return "";
};
void new Error().stack;
Error.prepareStackTrace = original;

Object.defineProperty(Object.getPrototypeOf(callSite), "constructor", {
  value: class CallSite {},
  configurable: true,
});
