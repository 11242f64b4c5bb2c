/* exp and log of the sampler: double, from + - * / alone, so that every machine gives the same bits (libm's differ).
 * Within 1 ulp of the true value; tests/unit/test_gumbel.c and tests/proof/proof_gumbel.c compare with libm. */
#ifndef OTR_SAMPLE_SAMPLE_MATH_H
#define OTR_SAMPLE_SAMPLE_MATH_H

double sample_log(double x); /* x normal and > 0 */
double sample_exp(double x); /* x <= 0; 0 below -708, where a double would lose bits */

#endif
