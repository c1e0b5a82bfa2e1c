//! The mail that events cause: a message for each address.

use std::collections::{BTreeSet, HashMap};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sqlx::{AnyConnection, AssertSqlSafe, Row as _};

use super::{Language, MailAddress, MailKind, MailPurpose, MailSettings, settings::parse};
use crate::{
    event::{Event, EventType, Hearer},
    id::{EventId, MessageId, TenantId},
    invoice::BillingDetails,
    outbox::{MAIL, Message, NewMessage, enqueue},
    store::{
        Engine, Store, StoreError, bulk,
        row::{corrupt, parsed},
    },
    time::Micros,
};

/// Mail as it is kept until it is sent. It is written by the template that is in force then.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MailBody {
    /// The kind of mail.
    pub mail: MailKind,
    /// The address; none: the tenant had none as the mail was written.
    pub address: Option<MailAddress>,
    /// The language; none: that of the settings file.
    pub language: Option<Language>,
    /// Name of the tenant.
    pub tenant_name: String,
    /// Time zone of the tenant.
    pub zone: String,
    /// Type of the event that caused it; none: somebody asked for it.
    pub event: Option<EventType>,
    /// Time of the event.
    pub at: Micros,
    /// Data about it.
    pub data: Value,
}

/// The people of a tenant.
#[derive(Default)]
struct People {
    settings: MailSettings,
    billing: Option<MailAddress>,
}

impl People {
    /// Addresses for a kind of mail; none: nobody said where it is to go.
    fn of(&self, mail: MailKind) -> Option<Vec<MailAddress>> {
        let stated = self.settings.recipients.get(&mail.purpose()?).cloned();
        stated.or_else(|| self.billing.clone().map(|address| vec![address]))
    }
}

/// The mail that these events cause.
pub(crate) async fn messages(
    connection: &mut AnyConnection,
    engine: Engine,
    events: &[(i64, Event)],
    hearers: &HashMap<TenantId, Hearer>,
) -> Result<Vec<NewMessage>, StoreError> {
    let causing: Vec<(&Event, MailKind)> =
        events.iter().filter_map(|(_, event)| Some((event, MailKind::of(event.kind)?))).collect();
    let people = people(connection, engine, causing.iter().map(|(event, _)| event.tenant).collect()).await?;
    let nobody = People::default();
    let mut messages = Vec::new();
    for (event, mail) in causing {
        let hearer = hearers.get(&event.tenant).ok_or_else(|| corrupt("event", "its tenant is not there"))?;
        let of_tenant = people.get(&event.tenant).unwrap_or(&nobody);
        let body = |address| MailBody {
            mail,
            address,
            language: of_tenant.settings.language,
            tenant_name: hearer.name.clone(),
            zone: hearer.zone.name().to_owned(),
            event: Some(event.kind),
            at: event.at,
            data: event.data.clone(),
        };
        let about = (event.id, event.tenant, event.object.as_str());
        match of_tenant.of(mail) {
            Some(addresses) => {
                for address in addresses {
                    messages.push(message(about, &body(Some(address)))?);
                }
            }
            None => messages.push(message(about, &body(None))?),
        }
    }
    Ok(messages)
}

fn message((event, tenant, object): (EventId, TenantId, &str), body: &MailBody) -> Result<NewMessage, StoreError> {
    let target = body.address.as_ref().map_or_else(|| "nobody".to_owned(), ToString::to_string);
    let given_up = body.address.is_none().then(|| no_address(tenant, body.mail));
    Ok(NewMessage {
        kind: MAIL,
        tenant,
        lane: format!("{target}/{object}"),
        target,
        subject: format!("{} {object}", body.mail),
        event: Some(event),
        body: serde_json::to_value(body).map_err(|error| corrupt("mail", error))?,
        due_at: None,
        given_up,
    })
}

fn no_address(tenant: TenantId, mail: MailKind) -> String {
    let purpose = mail.purpose().map_or(mail.as_str(), MailPurpose::as_str);
    format!(
        "{tenant} has no address for mail about {purpose}: set `email` of its billing details or recipients of its \
         mail, and replay this message"
    )
}

impl Store {
    /// Addresses mail that had nobody to go to: writes a message for each address that its tenant has
    /// now; gives how many. An error in words if there is still none.
    pub async fn address_mail(&self, message_id: MessageId, now: Micros) -> Result<Result<usize, String>, StoreError> {
        let Message { tenant, body, event, lane, .. } = self.message(message_id).await?;
        let body: MailBody = serde_json::from_value(body).map_err(|error| corrupt("mail", error))?;
        let mut write = self.begin_write().await?;
        let people = people(write.connection(), self.engine, BTreeSet::from([tenant])).await?;
        let of_tenant = people.get(&tenant).and_then(|people| Some((people.of(body.mail)?, people.settings.language)));
        let (Some((addresses, language)), Some(event)) = (of_tenant, event) else {
            return Ok(Err(no_address(tenant, body.mail)));
        };
        let object = lane.split_once('/').map_or("", |(_, object)| object);
        let mut messages = Vec::with_capacity(addresses.len());
        for address in addresses {
            let body = MailBody { address: Some(address), language, ..body.clone() };
            messages.push(message((event, tenant, object), &body)?);
        }
        enqueue(write.connection(), &messages, now).await?;
        write.commit().await?;
        Ok(Ok(messages.len()))
    }
}

/// Settings and billing addresses of tenants.
async fn people(
    connection: &mut AnyConnection,
    engine: Engine,
    tenants: BTreeSet<TenantId>,
) -> Result<HashMap<TenantId, People>, StoreError> {
    let statement = format!(
        "SELECT tenants.id, mail_settings.body AS settings, billing_details.body AS details FROM tenants \
         LEFT JOIN mail_settings ON mail_settings.tenant_id = tenants.id \
         LEFT JOIN billing_details ON billing_details.tenant_id = tenants.id WHERE tenants.id {}",
        bulk::in_list(engine, 1)
    );
    let rows = sqlx::query(AssertSqlSafe(statement)).bind(bulk::list(tenants)).fetch_all(connection).await?;
    let mut found = HashMap::with_capacity(rows.len());
    for row in &rows {
        let (settings, details): (Option<String>, Option<String>) = (row.try_get("settings")?, row.try_get("details")?);
        let settings = settings.as_deref().map(parse).transpose()?.unwrap_or_default();
        let details: Option<BillingDetails> = details
            .map(|body| serde_json::from_str(&body))
            .transpose()
            .map_err(|error| corrupt("billing details", error))?;
        // An address that mail cannot go to counts as none, and is told so.
        let billing = details.and_then(|details| details.email).and_then(|email| email.parse().ok());
        found.insert(parsed(row, "id")?, People { settings, billing });
    }
    Ok(found)
}
