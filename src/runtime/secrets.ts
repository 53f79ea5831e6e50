/**
 * Addresses as others may see them.
 *
 * @module
 */

/**
 * A URL without its password, for errors and logs; a name that stands there
 * alone may be one. Where it can't be told where the password ends, for it holds
 * an `@` or a `/` unescaped, more is hidden.
 *
 * @param url The URL, or what was given for one.
 */
export function hideSecrets(url: string): string {
  return url.replace(/^([\w+.-]+:\/\/[^:@/?]*:).*@/s, "$1…@")
    .replace(/^([\w+.-]+:\/\/)[^:@/?]*@/, "$1…@")
    .replace(/([?&]password=)[^&]*/gi, "$1…");
}
