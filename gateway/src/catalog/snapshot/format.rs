//! The format of the catalog's file: a header, rows, and a seal over all of it under a key from the
//! pepper.
//!
//! Invariant: nothing is taken from a file before the seal over the whole of it was found to be
//! right. So all that is read was written by a gateway with the same pepper, to the last bit; no
//! key can be planted or brought back to life.

use common::{
    change::{CatalogRow, ChangeMark, ServedKey, ServedTenant},
    dunning::Unpaid,
    id::{InvoiceId, KeyId, TenantId},
    key::{KeyHash, Mode, Pepper},
    plan::{PlanVersion, subscription::Subscription},
    tenant::TenantStatus,
    time::{Micros, Zone},
};

/// Begins every snapshot; the last byte is the version of the format.
const MAGIC: &[u8; 8] = b"TOLLCAT\x04";

/// Bytes of a pepper's id, which follow.
const PEPPER_ID: usize = 8;

/// Bytes of the seal, which ends the file.
pub(super) const SEAL: usize = 32;

const END: u8 = 0;
const TENANT: u8 = 1;
const PLAN: u8 = 2;
const SUBSCRIPTION: u8 = 3;
const KEY: u8 = 4;

/// The reason for which a file is not loaded.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// The operating system says so.
    #[error("{0}")]
    Unreadable(#[from] std::io::Error),
    /// It does not begin like one.
    #[error("it is not a snapshot of a catalog, or one of another version")]
    Foreign,
    /// Only the pepper that it was written under can tell whether it is genuine, and of no other
    /// are the keys.
    #[error("it was written under another pepper ({found}, not {expected})")]
    OtherPepper {
        /// Id of that pepper.
        found: String,
        /// Id of the one that is configured.
        expected: String,
    },
    /// The seal does not fit: cut off, damaged, or changed by somebody.
    #[error("its seal does not fit: it is damaged, incomplete or was changed")]
    Seal,
    /// The seal fits, and yet it cannot be read.
    #[error("it is genuine, but cannot be read: {0}")]
    Malformed(&'static str),
}

/// The change and the time that a snapshot is as of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) written_at: Micros,
    /// Contains all changes up to here, and perhaps some beyond.
    pub(super) mark: ChangeMark,
}

/// Bytes that are to be written.
#[derive(Default)]
pub(super) struct Writing(pub(super) Vec<u8>);

impl Writing {
    pub(super) fn header(&mut self, pepper: &Pepper, header: &Header) {
        self.0.extend_from_slice(MAGIC);
        self.0.extend_from_slice(pepper.id().as_bytes());
        self.micros(header.written_at);
        self.number(header.mark.seq);
        self.micros(header.mark.at);
        self.text(&header.mark.what);
    }

    pub(super) fn row(&mut self, row: &CatalogRow) -> Result<(), serde_json::Error> {
        match row {
            CatalogRow::Tenant(tenant) => self.tenant(tenant),
            CatalogRow::Plan(version) => self.plan(version)?,
            CatalogRow::Subscription(subscription) => self.subscription(subscription),
            CatalogRow::Key(key) => self.key(key),
        }
        Ok(())
    }

    pub(super) fn end(&mut self) {
        self.0.push(END);
    }

    fn tenant(&mut self, tenant: &ServedTenant) {
        self.0.push(TENANT);
        self.id(tenant.id.as_u128());
        self.optional(tenant.parent, |writing, parent| writing.id(parent.as_u128()));
        self.text(tenant.status.as_str());
        self.text(tenant.zone.name());
        self.optional(tenant.unpaid.as_ref(), |writing, unpaid| {
            writing.id(unpaid.invoice.as_u128());
            writing.optional(unpaid.pay_at.as_deref(), Self::text);
        });
        self.optional(tenant.own_spent_until, Self::micros);
        self.optional(tenant.subtree_spent_until, Self::micros);
    }

    fn plan(&mut self, version: &PlanVersion) -> Result<(), serde_json::Error> {
        self.0.push(PLAN);
        self.optional(version.owner, |writing, owner| writing.id(owner.as_u128()));
        self.number(version.version);
        self.micros(version.created_at);
        self.text(&serde_json::to_string(&version.plan)?);
        Ok(())
    }

    fn subscription(&mut self, subscription: &Subscription) {
        self.0.push(SUBSCRIPTION);
        self.id(subscription.tenant.as_u128());
        self.id(subscription.plan_owner.as_u128());
        self.text(subscription.plan.as_str());
        self.number(subscription.version);
        self.micros(subscription.starts_at);
        self.optional(subscription.ends_at, Self::micros);
    }

    fn key(&mut self, key: &ServedKey) {
        self.0.push(KEY);
        self.id(key.id.as_u128());
        self.id(key.tenant.as_u128());
        self.0.extend_from_slice(key.hash.as_bytes());
        self.0.push(u8::from(key.mode == Mode::Live));
        self.0.push(u8::from(key.revoked));
        self.optional(key.expires_at, Self::micros);
        self.text(&key.scopes.join(" "));
        self.text(&key.allowed_ips.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "));
        self.optional(key.spent_until, Self::micros);
    }

    fn optional<T>(&mut self, value: Option<T>, write: impl FnOnce(&mut Self, T)) {
        self.0.push(u8::from(value.is_some()));
        if let Some(value) = value {
            write(self, value);
        }
    }

    fn id(&mut self, id: u128) {
        self.0.extend_from_slice(&id.to_le_bytes());
    }

    fn number(&mut self, number: i64) {
        self.0.extend_from_slice(&number.to_le_bytes());
    }

    fn micros(&mut self, at: Micros) {
        self.number(at.0);
    }

    fn text(&mut self, text: &str) {
        // Longer than 4 GiB is nothing that fits into a row.
        self.0.extend_from_slice(&u32::try_from(text.len()).unwrap_or(0).to_le_bytes());
        self.0.extend_from_slice(text.as_bytes());
    }
}

/// Checks the whole of a file and then gives every row of it to `take`.
pub(super) fn read(bytes: &[u8], pepper: &Pepper, mut take: impl FnMut(CatalogRow)) -> Result<Header, SnapshotError> {
    let rest = bytes.strip_prefix(MAGIC).ok_or(SnapshotError::Foreign)?;
    let (id, _) = rest.split_at_checked(PEPPER_ID).ok_or(SnapshotError::Foreign)?;
    if id != pepper.id().as_bytes() {
        let found = String::from_utf8_lossy(id).into_owned();
        return Err(SnapshotError::OtherPepper { found, expected: pepper.id().to_owned() });
    }
    let (content, seal) = bytes.split_last_chunk::<SEAL>().ok_or(SnapshotError::Seal)?;
    let mut expected = pepper.snapshot_seal();
    expected.update(content);
    if !expected.fits(seal) {
        return Err(SnapshotError::Seal);
    }
    let mut reading = Reading(&content[MAGIC.len() + PEPPER_ID..]);
    let header = Header {
        written_at: reading.micros()?,
        mark: ChangeMark { seq: reading.number()?, at: reading.micros()?, what: reading.text()?.to_owned() },
    };
    while let Some(row) = reading.row()? {
        take(row);
    }
    if !reading.0.is_empty() {
        return Err(SnapshotError::Malformed("something follows its end"));
    }
    Ok(header)
}

/// Bytes that are still to be read.
struct Reading<'a>(&'a [u8]);

const CUT_OFF: SnapshotError = SnapshotError::Malformed("a row is cut off");

impl<'a> Reading<'a> {
    /// The next row; none at the end.
    fn row(&mut self) -> Result<Option<CatalogRow>, SnapshotError> {
        Ok(Some(match self.byte()? {
            END => return Ok(None),
            TENANT => CatalogRow::Tenant(self.tenant()?),
            PLAN => CatalogRow::Plan(self.plan()?.into()),
            SUBSCRIPTION => CatalogRow::Subscription(self.subscription()?),
            KEY => CatalogRow::Key(self.key()?),
            _ => return Err(SnapshotError::Malformed("a row is of an unknown kind")),
        }))
    }

    fn tenant(&mut self) -> Result<ServedTenant, SnapshotError> {
        Ok(ServedTenant {
            id: TenantId::from_u128(self.id()?),
            parent: self.optional(|reading| reading.id().map(TenantId::from_u128))?,
            status: self.parsed::<TenantStatus>("a tenant has an unknown status")?,
            zone: Zone::stored(self.text()?),
            unpaid: self.optional(|reading| {
                let invoice = InvoiceId::from_u128(reading.id()?);
                Ok(Unpaid { invoice, pay_at: reading.optional(|reading| reading.text().map(str::to_owned))? })
            })?,
            own_spent_until: self.optional(Self::micros)?,
            subtree_spent_until: self.optional(Self::micros)?,
        })
    }

    fn plan(&mut self) -> Result<PlanVersion, SnapshotError> {
        let owner = self.optional(|reading| reading.id().map(TenantId::from_u128))?;
        let (version, created_at) = (self.number()?, self.micros()?);
        let plan = serde_json::from_str(self.text()?).map_err(|_| SnapshotError::Malformed("a plan is not valid"))?;
        Ok(PlanVersion { owner, version, created_at, plan })
    }

    fn subscription(&mut self) -> Result<Subscription, SnapshotError> {
        Ok(Subscription {
            tenant: TenantId::from_u128(self.id()?),
            plan_owner: TenantId::from_u128(self.id()?),
            plan: self.parsed("the name of a plan is not valid")?,
            version: self.number()?,
            starts_at: self.micros()?,
            ends_at: self.optional(Self::micros)?,
        })
    }

    fn key(&mut self) -> Result<ServedKey, SnapshotError> {
        Ok(ServedKey {
            id: KeyId::from_u128(self.id()?),
            tenant: TenantId::from_u128(self.id()?),
            hash: KeyHash::from_bytes(self.bytes::<32>()?),
            mode: if self.flag()? { Mode::Live } else { Mode::Test },
            revoked: self.flag()?,
            expires_at: self.optional(Self::micros)?,
            scopes: self.text()?.split_ascii_whitespace().map(str::to_owned).collect(),
            allowed_ips: self
                .text()?
                .split_ascii_whitespace()
                .map(|range| range.parse().map_err(|_| SnapshotError::Malformed("a network is not valid")))
                .collect::<Result<_, _>>()?,
            spent_until: self.optional(Self::micros)?,
        })
    }

    fn optional<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<T, SnapshotError>,
    ) -> Result<Option<T>, SnapshotError> {
        if self.flag()? { read(self).map(Some) } else { Ok(None) }
    }

    fn bytes<const N: usize>(&mut self) -> Result<[u8; N], SnapshotError> {
        let (bytes, rest) = self.0.split_first_chunk::<N>().ok_or(CUT_OFF)?;
        self.0 = rest;
        Ok(*bytes)
    }

    fn byte(&mut self) -> Result<u8, SnapshotError> {
        self.bytes::<1>().map(|[byte]| byte)
    }

    fn flag(&mut self) -> Result<bool, SnapshotError> {
        match self.byte()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(SnapshotError::Malformed("a flag is neither 0 nor 1")),
        }
    }

    fn id(&mut self) -> Result<u128, SnapshotError> {
        self.bytes().map(u128::from_le_bytes)
    }

    fn number(&mut self) -> Result<i64, SnapshotError> {
        self.bytes().map(i64::from_le_bytes)
    }

    fn micros(&mut self) -> Result<Micros, SnapshotError> {
        self.number().map(Micros)
    }

    fn text(&mut self) -> Result<&'a str, SnapshotError> {
        let length = u32::from_le_bytes(self.bytes()?) as usize;
        let (text, rest) = self.0.split_at_checked(length).ok_or(CUT_OFF)?;
        self.0 = rest;
        std::str::from_utf8(text).map_err(|_| SnapshotError::Malformed("a text is not UTF-8"))
    }

    fn parsed<T: std::str::FromStr>(&mut self, reason: &'static str) -> Result<T, SnapshotError> {
        self.text()?.parse().map_err(|_| SnapshotError::Malformed(reason))
    }
}
