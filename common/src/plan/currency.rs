//! Currencies that a plan can have: those in circulation today.

use super::PlanError;
use crate::money::Currency;

/// Refuses what the list of ISO 4217 holds beside money that circulates: metals, units of account
/// and codes for tests, none of which has a minor unit to round to; funds codes; and what was
/// withdrawn.
pub(super) fn validate(currency: Currency) -> Result<(), PlanError> {
    let refuse = |reason: String| Err(PlanError::Currency { currency: currency.code(), reason });
    if currency.is_special() || currency.exponent().is_none() {
        return refuse("it is no money that anybody pays in, and has no minor unit".into());
    }
    if currency.is_fund() {
        return refuse("it is a funds code, which nobody pays in".into());
    }
    match currency.is_superseded() {
        // The table of the library names the other code of the same money; both circulate.
        None | Some(Currency::VED) => Ok(()),
        Some(successor) => refuse(format!("it was withdrawn: use {}", successor.code())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn currency_out_of_circulation_is_refused() {
        let refused = "XXX XTS XAU XAG XPT XPD XDR XSU XUA XAD XBA XBB XBC XBD BOV CHE CHW CLF COU MXV USN UYI UYW HRK \
                       SLL ZWL CUC BGN";
        for code in refused.split_whitespace() {
            let currency = Currency::from_code(code).unwrap();
            let error = validate(currency).unwrap_err().to_string();
            assert!(error.starts_with(&format!("currency {code}: ")), "{error}");
        }
        assert!(validate(Currency::HRK).unwrap_err().to_string().contains("use EUR"));
    }

    #[test]
    fn currency_in_circulation_is_accepted() {
        for code in
            "USD EUR JPY KWD BHD CLP ISK UGX VES VED XAF XOF XPF XCD XCG SLE ZWG CUP UYU CHF MXN BOB COP".split(' ')
        {
            assert_eq!(validate(Currency::from_code(code).unwrap()), Ok(()), "{code}");
        }
    }
}
