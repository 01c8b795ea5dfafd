//! Arithmetic on the values of a row.
//!
//! Whole numbers stay exact as long as the exact result fits 64 bits, with or without a sign. Beyond
//! that, and with fractions, a result is the nearest float. A text counts as a number if it is
//! written as the program prints that number, as in comparisons. Other values have no result.

use super::CellValue;
use super::cell::spelled_number;
use super::resolved::ScalarFunction;
use super::syntax::ArithmeticOp;
use crate::graph::Value;

/// Up to 2^53, every whole float is exactly the integer that it looks like.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// A value as arithmetic takes it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum NumericValue {
    Whole(i128),
    Float(f64),
}

impl NumericValue {
    /// The number that a cell holds, or that its text is the canonical spelling of.
    pub fn of(cell: &CellValue) -> Option<NumericValue> {
        match cell.value()? {
            Value::Text(text) => NumericValue::of_value(&spelled_number(text)?),
            value => NumericValue::of_value(value),
        }
    }

    fn of_value(value: &Value<'_>) -> Option<NumericValue> {
        match value {
            Value::Int(int) => Some(NumericValue::Whole((*int).into())),
            Value::UInt(int) => Some(NumericValue::Whole((*int).into())),
            Value::Float(float) if float.fract() == 0.0 && float.abs() <= EXACT => {
                Some(NumericValue::Whole(*float as i128))
            }
            Value::Float(float) => Some(NumericValue::Float(*float)),
            _ => None,
        }
    }

    /// The nearest float.
    pub fn float(self) -> f64 {
        match self {
            NumericValue::Whole(int) => int as f64,
            NumericValue::Float(float) => float,
        }
    }
}

/// A number as it is shown: whole ones without a fraction.
pub(super) fn from_float(number: f64) -> CellValue {
    match number {
        n if !n.is_finite() => CellValue::Undefined,
        n if n.fract() == 0.0 && n.abs() <= EXACT => CellValue::Value(Value::Int(n as i64)),
        n => CellValue::Value(Value::Float(n)),
    }
}

/// A whole number, as a float where 64 bits do not hold it.
pub(super) fn from_whole(number: i128) -> CellValue {
    match (i64::try_from(number), u64::try_from(number)) {
        (Ok(int), _) => CellValue::Value(Value::Int(int)),
        (_, Ok(int)) => CellValue::Value(Value::UInt(int)),
        _ => from_float(number as f64),
    }
}

/// The result of an operation; undefined if a side or the result is no number.
pub(super) fn arithmetic(left: &CellValue, math: ArithmeticOp, right: &CellValue) -> CellValue {
    let (Some(left), Some(right)) = (NumericValue::of(left), NumericValue::of(right)) else {
        return CellValue::Undefined;
    };
    // 128 bits hold most whole results exactly; only the others go through floats.
    if let (NumericValue::Whole(a), NumericValue::Whole(b)) = (left, right)
        && let Some(exact) = exactly(a, math, b)
    {
        return from_whole(exact);
    }
    let (a, b) = (left.float(), right.float());
    from_float(match math {
        ArithmeticOp::Add => a + b,
        ArithmeticOp::Subtract => a - b,
        ArithmeticOp::Multiply => a * b,
        ArithmeticOp::Divide => a / b,
        ArithmeticOp::Power => a.powf(b),
    })
}

/// The result where it is whole.
fn exactly(a: i128, math: ArithmeticOp, b: i128) -> Option<i128> {
    match math {
        ArithmeticOp::Add => a.checked_add(b),
        ArithmeticOp::Subtract => a.checked_sub(b),
        ArithmeticOp::Multiply => a.checked_mul(b),
        ArithmeticOp::Divide => a.checked_div(b).filter(|whole| whole * b == a),
        ArithmeticOp::Power => a.checked_pow(u32::try_from(b).ok()?),
    }
}

/// The result of a function of one number.
pub(super) fn call(function: ScalarFunction, cell: &CellValue) -> CellValue {
    let Some(number) = NumericValue::of(cell) else { return CellValue::Undefined };
    match (function, number) {
        (ScalarFunction::Abs, NumericValue::Whole(int)) => from_whole(int.abs()),
        (
            ScalarFunction::Ceil | ScalarFunction::Floor | ScalarFunction::Round,
            NumericValue::Whole(int),
        ) => from_whole(int),
        (ScalarFunction::Abs, number) => from_float(number.float().abs()),
        (ScalarFunction::Sqrt, number) => from_float(number.float().sqrt()),
        (ScalarFunction::Ceil, number) => from_float(number.float().ceil()),
        (ScalarFunction::Floor, number) => from_float(number.float().floor()),
        (ScalarFunction::Round, number) => from_float(number.float().round()),
        // Answered where the row is known, or where each argument is read in turn.
        (
            ScalarFunction::Depth
            | ScalarFunction::Coalesce
            | ScalarFunction::Concat
            | ScalarFunction::Merge,
            _,
        ) => CellValue::Undefined,
    }
}

/// A sum that is added up number by number.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct RunningSum {
    whole: i128,
    /// The sum of the numbers that are not whole, if there was any.
    rest: Option<f64>,
    count: u64,
}

impl RunningSum {
    pub fn add(&mut self, number: NumericValue) {
        self.count += 1;
        match number {
            // 2^64 numbers of 64 bits fit.
            NumericValue::Whole(int) => self.whole += int,
            NumericValue::Float(float) => self.rest = Some(self.rest.unwrap_or(0.0) + float),
        }
    }

    pub fn total(self) -> CellValue {
        match self.rest {
            None => from_whole(self.whole),
            Some(rest) => from_float(self.whole as f64 + rest),
        }
    }

    /// Undefined for the average of nothing.
    pub fn average(self) -> CellValue {
        let count = i128::from(self.count);
        match self.rest {
            _ if count == 0 => CellValue::Undefined,
            None if self.whole % count == 0 => from_whole(self.whole / count),
            rest => from_float((self.whole as f64 + rest.unwrap_or(0.0)) / self.count as f64),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn cell(text: &str) -> CellValue {
        CellValue::Value(Value::number(text).expect("a number"))
    }

    fn shown(cell: CellValue) -> String {
        cell.value().map_or_else(|| "-".to_owned(), ToString::to_string)
    }

    fn computed(a: &str, math: ArithmeticOp, b: &str) -> String {
        shown(arithmetic(&cell(a), math, &cell(b)))
    }

    #[test]
    fn whole_numbers_stay_exact_as_long_as_64_bits_hold_them() {
        use ArithmeticOp::*;
        for (a, math, b, result) in [
            ("9007199254740993", Add, "1", "9007199254740994"),
            ("9007199254740993", Divide, "1", "9007199254740993"),
            ("9007199254740993", Add, "1.0", "9007199254740994"),
            ("9223372036854775807", Add, "1", "9223372036854775808"),
            ("18446744073709551615", Subtract, "1", "18446744073709551614"),
            ("18446744073709551615", Divide, "5", "3689348814741910323"),
            ("4294967296", Multiply, "4294967295", "18446744069414584320"),
            ("3", Power, "40", "12157665459056928801"),
            ("7", Divide, "2", "3.5"),
            ("2", Power, "-1", "0.5"),
            ("7", Divide, "0", "-"),
            ("18446744073709551615", Add, "1", "1.8446744073709552e+19"),
        ] {
            assert_eq!(computed(a, math, b), result, "{a} {math:?} {b}");
        }
    }

    #[test]
    fn functions_leave_whole_numbers_as_they_are() {
        for function in [
            ScalarFunction::Abs,
            ScalarFunction::Floor,
            ScalarFunction::Ceil,
            ScalarFunction::Round,
        ] {
            for large in ["9007199254740993", "9223372036854775807", "18446744073709551615"] {
                assert_eq!(shown(call(function, &cell(large))), large, "{function:?}");
            }
        }
        assert_eq!(
            shown(call(ScalarFunction::Abs, &cell("-9223372036854775808"))),
            "9223372036854775808"
        );
        assert_eq!(shown(call(ScalarFunction::Sqrt, &cell("9223372030926249001"))), "3037000499");
        assert_eq!(shown(call(ScalarFunction::Round, &cell("2.5"))), "3");
    }

    #[test]
    fn a_text_counts_as_the_number_that_it_is_the_own_spelling_of() {
        let text = |text: &'static str| CellValue::Value(Value::Text(text.into()));
        assert_eq!(shown(arithmetic(&text("7"), ArithmeticOp::Add, &cell("1"))), "8");
        assert_eq!(shown(call(ScalarFunction::Floor, &text("7.5"))), "7");
        for other in ["07", "2.10", "7 GB", "", "x"] {
            assert_eq!(NumericValue::of(&text(other)), None, "{other}");
        }
    }

    proptest! {
        #[test]
        fn sums_of_integers_are_exact(all in prop::collection::vec(any::<i64>(), 1..20)) {
            let mut sum = RunningSum::default();
            all.iter().for_each(|int| sum.add(NumericValue::Whole((*int).into())));
            let exact: i128 = all.iter().map(|int| i128::from(*int)).sum();
            match u64::try_from(exact).is_ok() || i64::try_from(exact).is_ok() {
                true => prop_assert_eq!(shown(sum.total()), exact.to_string()),
                false => prop_assert_eq!(sum.total(), CellValue::Value(Value::Float(exact as f64))),
            }
        }
    }
}
