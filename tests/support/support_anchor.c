/* Keeps the support library non-empty on every configuration. */
extern const int otr_test_support_anchor;
const int otr_test_support_anchor = 1;
