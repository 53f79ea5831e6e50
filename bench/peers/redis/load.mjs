/** Headwater as it was built at the top of the repository. */

const ROOT = new URL("../../../", import.meta.url);

export const load = (path) => import(new URL(`dist/${path}`, ROOT).href);
