//! Sums of units modulo 2^62.

/// Units of a stream are counted modulo 2^62: all units of a stream may exceed what a column holds,
/// and the counters are only ever compared for equality.
pub(crate) const UNITS_MODULUS: i64 = 1 << 62;

/// The sum of a column modulo 2^62, in SQL that overflows on neither engine: high and low halves
/// are summed apart.
macro_rules! modular_sum {
    ($column:literal) => {
        concat!(
            "CAST(((SUM(",
            $column,
            " / 2147483648) % 2147483648) * 2147483648 + SUM(",
            $column,
            " % 2147483648)) % 4611686018427387904 AS BIGINT)"
        )
    };
}
pub(crate) use modular_sum;
