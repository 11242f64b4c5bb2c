/* Counts and fails allocations of the library. Tests whose name has "torture" or "nomalloc" are linked with --wrap for
 * the functions below (tests/CMakeLists.txt). The main thread arms; a drafter's own thread may allocate too: it can be
 * the one that fails, but is not counted. */
#ifndef OTR_TESTS_WRAPMEM_H
#define OTR_TESTS_WRAPMEM_H

extern long wrapmem_count;   /* allocations of the main thread since the last reset by the test */
extern long wrapmem_fail_at; /* the n-th allocation from now on (1 = next) fails once; 0: none */
extern long wrapmem_open;    /* allocated and not yet freed */

#endif
