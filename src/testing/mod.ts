/**
 * Time, chance and networks that a test holds in its hand: to see what a
 * program does when they fail, and to see it again.
 *
 * @module
 */

export { FaultProxy, openFaultProxy } from "./fault_proxy.ts";
export type { FaultProxyOptions } from "./fault_proxy.ts";
export type { ProxyFaults, ProxyStats } from "./proxy_faults.ts";
export { seededRandom } from "./seeded_random.ts";
export type { SeededRandom } from "./seeded_random.ts";
export { SimulatedNetwork } from "./simulated_network.ts";
export type { Place, SimulatedNetworkOptions } from "./simulated_network.ts";
export type { NetworkLink, Side } from "./network_link.ts";
export type { NetworkFaults, NetworkStats } from "./network_faults.ts";
export type { RangeMs } from "./check_options.ts";
export { VirtualClock } from "./virtual_clock.ts";
export type { VirtualClockOptions } from "./virtual_clock.ts";
export type { CancelTimer, Clock, Random } from "../writer/mod.ts";
