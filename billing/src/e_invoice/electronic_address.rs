//! Electronic addresses: where a network delivers an invoice. They follow from the tax id, in the
//! scheme of its country, or else from the mail address.

use common::invoice::Party;

/// Schemes of tax ids by their country, from the code list EAS that Peppol uses.
const SCHEMES: [(&str, &str); 33] = [
    ("AD", "9922"),
    ("AL", "9923"),
    ("AT", "9914"),
    ("BA", "9924"),
    ("BE", "9925"),
    ("BG", "9926"),
    ("CH", "9927"),
    ("CY", "9928"),
    ("CZ", "9929"),
    ("DE", "9930"),
    ("EE", "9931"),
    ("EL", "9933"),
    ("ES", "9920"),
    ("FR", "9957"),
    ("GB", "9932"),
    ("HR", "9934"),
    ("HU", "9910"),
    ("IE", "9935"),
    ("IT", "0211"),
    ("LI", "9936"),
    ("LT", "9937"),
    ("LU", "9938"),
    ("LV", "9939"),
    ("MC", "9940"),
    ("MK", "9942"),
    ("MT", "9943"),
    ("NL", "9944"),
    ("PL", "9945"),
    ("PT", "9946"),
    ("RO", "9947"),
    ("RS", "9948"),
    ("SI", "9949"),
    ("SK", "9950"),
];

/// An electronic address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ElectronicAddress {
    /// The scheme, by the code list EAS.
    pub scheme: &'static str,
    /// The address in the scheme.
    pub id: String,
}

/// The electronic address of a side, if its tax id or mail address gives one.
pub(super) fn of(party: &Party) -> Option<ElectronicAddress> {
    let by_tax_id = party.tax_id.as_ref().and_then(|tax_id| {
        let country = tax_id.get(..2)?;
        let (_, scheme) = SCHEMES.iter().find(|(one, _)| *one == country)?;
        Some(ElectronicAddress { scheme, id: tax_id.clone() })
    });
    by_tax_id.or_else(|| party.email.clone().map(|id| ElectronicAddress { scheme: "EM", id }))
}
