//! `area(number)`: where a number is, about, but not whose it is.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, AsArray as _, StringArray},
    datatypes::DataType,
};
use datafusion::{
    common::DataFusionError,
    logical_expr::{ColumnarValue, ScalarUDF, Volatility, create_udf},
};

/// Characters that are told: of +441632960001 as much as +44163.
const TOLD: usize = 6;

/// The function, for a session.
pub(super) fn function() -> ScalarUDF {
    let text = || DataType::Utf8;
    create_udf("area", vec![text()], text(), Volatility::Immutable, Arc::new(areas))
}

fn areas(arguments: &[ColumnarValue]) -> Result<ColumnarValue, DataFusionError> {
    let [numbers] = <[ArrayRef; 1]>::try_from(ColumnarValue::values_to_arrays(arguments)?)
        .map_err(|_| DataFusionError::Plan("area(number) has one argument".into()))?;
    let numbers = numbers
        .as_string_opt::<i32>()
        .ok_or_else(|| DataFusionError::Plan("area(number) is of a text".into()))?;
    let areas: StringArray = numbers.iter().map(|number| number.map(area)).collect();
    Ok(ColumnarValue::Array(Arc::new(areas)))
}

/// The area of one number: its first six characters, or `name`.
pub fn area(number: &str) -> &str {
    let digits = number.strip_prefix('+').unwrap_or(number).as_bytes();
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return "name";
    }
    number.get(..TOLD).unwrap_or(number)
}

#[cfg(test)]
mod tests {
    use super::area;

    #[test]
    fn numbers_and_names() {
        for (number, told) in [
            ("+441632960001", "+44163"),
            ("01632960001", "016329"),
            ("999", "999"),
            ("alice", "name"),
            ("+44é163", "name"),
            ("", "name"),
            ("+", "name"),
        ] {
            assert_eq!(area(number), told, "{number}");
        }
    }
}
