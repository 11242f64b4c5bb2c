/* How much of a long test runs under a sanitizer: code is 5 to 20 times slower there, and what a sanitizer looks for is
 * on every path once, not at every size and seed. */
#ifndef OTR_TESTS_FEWER_H
#define OTR_TESTS_FEWER_H

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) /* gcc's; the presets asan and tsan use it */
#define FEWER(all, sanitized) (sanitized)
#else
#define FEWER(all, sanitized) (all)
#endif

#endif
