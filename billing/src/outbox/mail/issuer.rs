//! The issuer in whose name mail is written: its name, its looks, and where answers go.

use common::{
    branding::Branding,
    id::TenantId,
    mail::MailBody,
    store::{Store, StoreError},
};
use lettre::message::Mailbox;
use serde::Serialize;

/// Colour of rules and titles unless the branding states one.
const COLOUR: &str = "#1f3a5f";

/// The issuer of mail, as templates see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MailIssuer {
    /// Its name.
    pub name: String,
    /// Colour of rules and titles, as in `#1f3a5f`.
    pub colour: String,
    /// Telephone number of the person or office to ask; empty: none is stated.
    pub phone: String,
    /// Mail address of the same; empty: none is stated.
    pub email: String,
    /// Lines at the foot.
    pub footer: Vec<String>,
    /// True: a reseller, in whose name mail is sent.
    #[serde(skip)]
    pub is_reseller: bool,
}

impl MailIssuer {
    /// That of a message: the issuer of the invoice that it is about, else the tenant above.
    pub(super) async fn of(store: &Store, tenant: TenantId, body: &MailBody) -> Result<Self, StoreError> {
        let named = &body.data["issuer"];
        let stated = named["tenant"].as_str().and_then(|id| id.parse::<TenantId>().ok());
        let id = match stated {
            Some(issuer) => issuer,
            None => store.tenant(tenant).await?.parent.unwrap_or(tenant),
        };
        let issuer = store.tenant(id).await?;
        let name = match named["name"].as_str() {
            Some(name) => name.to_owned(),
            None => store.billing_details(id).await?.legal_name.unwrap_or(issuer.name),
        };
        Ok(Self::new(name, issuer.parent.is_some(), &store.branding(id).await?))
    }

    /// An issuer with this branding.
    pub(super) fn new(name: String, is_reseller: bool, branding: &Branding) -> Self {
        let contact = branding.contact.clone().unwrap_or_default();
        Self {
            name,
            colour: branding.colour.clone().unwrap_or_else(|| COLOUR.into()),
            phone: contact.phone.unwrap_or_default(),
            email: contact.email.unwrap_or_default(),
            footer: branding.footer.clone(),
            is_reseller,
        }
    }

    /// The sender: the address of the settings, in the name of a reseller.
    pub(super) fn sender(&self, from: &Mailbox) -> Mailbox {
        if self.is_reseller { Mailbox::new(Some(self.name.clone()), from.email.clone()) } else { from.clone() }
    }

    /// The address that answers go to: a reseller's own, else that of the settings.
    pub(super) fn reply_to(&self, settings: Option<&Mailbox>) -> Option<Mailbox> {
        let own = Some(&self.email).filter(|_| self.is_reseller).and_then(|email| email.parse().ok());
        own.map(|address| Mailbox::new(None, address)).or_else(|| settings.cloned())
    }
}

#[cfg(test)]
mod tests {
    use common::branding::Contact;

    use super::*;

    fn issuer(name: &str, is_reseller: bool, email: Option<&str>) -> MailIssuer {
        let contact = Contact { email: email.map(Into::into), ..Contact::default() };
        MailIssuer::new(name.into(), is_reseller, &Branding { contact: Some(contact), ..Branding::default() })
    }

    #[test]
    fn mail_of_a_reseller_has_its_name_and_its_address_for_answers() {
        let from: Mailbox = "Example Billing <billing@example.com>".parse().unwrap();
        let answers: Mailbox = "help@example.com".parse().unwrap();
        let reseller = issuer("Partner, \"Müller\" & Söhne", true, Some("rechnung@partner.example"));
        let sender = reseller.sender(&from);
        assert_eq!((sender.name.as_deref(), &sender.email), (Some("Partner, \"Müller\" & Söhne"), &from.email));
        let answer = reseller.reply_to(Some(&answers)).unwrap();
        assert_eq!(answer.email.to_string(), "rechnung@partner.example");
        let root = issuer("Root", false, Some("rechnung@root.example"));
        assert_eq!((root.sender(&from), root.reply_to(Some(&answers))), (from, Some(answers.clone())));
        for silent in [issuer("Partner", true, None), issuer("Partner", true, Some("no address"))] {
            assert_eq!(silent.reply_to(Some(&answers)), Some(answers.clone()));
        }
    }
}
