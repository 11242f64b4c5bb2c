/* Every drafting method, one line each: X(symbol) names `draft_symbol` in a file of its own. Order: as --spec help
 * prints them. */
#ifndef OTR_DRAFT_DRAFT_LIST_H
#define OTR_DRAFT_DRAFT_LIST_H

#define DRAFT_LIST(X)                                                                                                  \
    X(ngram_simple)                                                                                                    \
    X(ngram_map_k)                                                                                                     \
    X(ngram_map_k4v)                                                                                                   \
    X(ngram_mod)                                                                                                       \
    X(ngram_cache)                                                                                                     \
    X(suffix)                                                                                                          \
    X(rest)                                                                                                            \
    X(prediction)                                                                                                      \
    X(recycle)                                                                                                         \
    X(lookahead)                                                                                                       \
    X(draft)                                                                                                           \
    X(tree_of)                                                                                                         \
    X(tli)                                                                                                             \
    X(slem)                                                                                                            \
    X(slrs)                                                                                                            \
    X(hetero)                                                                                                          \
    X(md)                                                                                                              \
    X(async)                                                                                                           \
    X(lowbit)                                                                                                          \
    X(skip)                                                                                                            \
    X(exit)                                                                                                            \
    X(random)                                                                                                          \
    X(oracle)                                                                                                          \
    X(wrong_at_k)                                                                                                      \
    X(liar)                                                                                                            \
    X(slow)                                                                                                            \
    X(failing)                                                                                                         \
    X(toolong)                                                                                                         \
    X(malformed_tree)                                                                                                  \
    X(shuffle)                                                                                                         \
    X(trace)                                                                                                           \
    X(fault)                                                                                                           \
    X(delay)

#endif
