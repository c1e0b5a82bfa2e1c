//! Statements in camt.053 (ISO 20022): `BkToCstmrStmt` of all versions from .001.02 on.
//!
//! An entry that names several transactions with their amounts becomes one entry each, if these amounts
//! are the whole of it; otherwise it stays one entry with the texts of all. Entries that are not
//! booked are counted only.

use roxmltree::{Document, Node, ParsingOptions};

use super::{
    BankStatement, ENTRIES_MAX, EntryKind, Fingerprints, STATEMENT_MAX_BYTES, StatementEntry, StatementError,
    TEXT_MAX_CHARS, clean, clean_account, clean_name, clean_reference,
    encoding::{Encoding, decode},
};
use crate::{
    money::{Currency, Money},
    time::Date,
};

/// Most elements of a document: more than a file of the largest size has in practice, and few enough
/// for memory.
const NODES_MAX: u32 = 2_000_000;

/// Bytes in which the declaration of the encoding stands.
const DECLARATION_BYTES: usize = 200;

/// Reads the statements of a file.
pub fn read(bytes: &[u8]) -> Result<BankStatement, StatementError> {
    if bytes.len() > STATEMENT_MAX_BYTES {
        return Err(StatementError::TooLarge(bytes.len()));
    }
    let text = decode(bytes, declared(bytes)?)?;
    let options = ParsingOptions { allow_dtd: false, nodes_limit: NODES_MAX, ..ParsingOptions::default() };
    let document =
        Document::parse_with_options(&text, options).map_err(|error| StatementError::Xml(error.to_string()))?;
    let root = document.root_element();
    let found = root.tag_name().namespace().unwrap_or_default();
    let message = child(root, "BkToCstmrStmt");
    let Some(message) = message.filter(|_| found.is_empty() || found.contains(":camt.053.")) else {
        let name = message_name(root, found);
        return Err(StatementError::Other(format!("it is {name}; ask the bank for camt.053")));
    };
    let mut statement = BankStatement::default();
    for one in children(message, "Stmt") {
        read_statement(one, &mut statement)?;
    }
    Ok(statement)
}

/// The encoding that the declaration of a document names; UTF-8 without one.
fn declared(bytes: &[u8]) -> Result<Encoding, StatementError> {
    let start: String = bytes.iter().take(DECLARATION_BYTES).map(|byte| char::from(*byte)).collect();
    let declaration = start.strip_prefix("<?xml").and_then(|rest| rest.split_once("?>")).map(|(inside, _)| inside);
    let value = declaration.and_then(|inside| inside.split_once("encoding")).and_then(|(_, rest)| {
        let rest = rest.trim_start().strip_prefix('=')?.trim_start();
        let quote = rest.chars().next().filter(|quote| matches!(quote, '"' | '\''))?;
        rest[1..].split_once(quote).map(|(name, _)| name.to_owned())
    });
    match value {
        None => Ok(Encoding::Utf8),
        Some(name) => Encoding::named(&name).filter(|encoding| *encoding != Encoding::Guess).ok_or_else(|| {
            StatementError::Xml(format!("its encoding is {}; UTF-8, ISO-8859-1 and -15 are read", clean(&name, 40)))
        }),
    }
}

/// The name of a message that is no statement.
fn message_name(root: Node<'_, '_>, namespace: &str) -> String {
    let inner = root.children().find(Node::is_element).map(|node| node.tag_name().name());
    let name = namespace.rsplit(':').next().filter(|name| !name.is_empty()).or(inner);
    format!("`{}`", clean(name.unwrap_or_else(|| root.tag_name().name()), 60))
}

fn read_statement(node: Node<'_, '_>, statement: &mut BankStatement) -> Result<(), StatementError> {
    let account = texts(node, &["Acct", "Id", "IBAN"])
        .into_iter()
        .chain(texts(node, &["Acct", "Id", "Othr", "Id"]))
        .find_map(|text| clean_account(&text));
    let account = account.ok_or_else(|| fault(node, "Acct/Id", "the statement names no account"))?;
    let mut fingerprints = Fingerprints::default();
    for entry in children(node, "Ntry") {
        let status = first(entry, &["Sts", "Cd"]).or_else(|| first(entry, &["Sts"])).unwrap_or_default();
        if status != "BOOK" {
            statement.pending += 1;
            continue;
        }
        for found in Booked::read(entry)?.split()? {
            let Some(kind) = found.kind else {
                statement.debits += 1;
                continue;
            };
            if statement.entries.len() >= ENTRIES_MAX {
                return Err(StatementError::TooMany);
            }
            let entry = found.entry(kind, account.clone(), &mut fingerprints);
            statement.entries.push(entry);
        }
    }
    Ok(())
}

/// A booked entry with its transactions.
struct Booked<'a, 'input> {
    node: Node<'a, 'input>,
    amount: Money,
    is_credit: bool,
    is_reversal: bool,
    date: Date,
    transactions: Vec<Node<'a, 'input>>,
}

/// An entry, or a transaction of it.
struct Found<'a, 'input> {
    entry: Node<'a, 'input>,
    parts: Vec<Node<'a, 'input>>,
    amount: Money,
    /// None: it takes money away.
    kind: Option<EntryKind>,
    date: Date,
    /// True if the entry has no other transaction.
    is_alone: bool,
}

impl<'a, 'input> Booked<'a, 'input> {
    fn read(node: Node<'a, 'input>) -> Result<Self, StatementError> {
        let amount = child(node, "Amt").ok_or_else(|| fault(node, "Amt", "the entry has none"))?;
        let is_credit = direction(node)?.ok_or_else(|| fault(node, "CdtDbtInd", "the entry has none"))?;
        let is_reversal = match first(node, &["RvslInd"]).as_deref() {
            None | Some("false" | "0") => false,
            Some("true" | "1") => true,
            Some(other) => {
                return Err(fault(node, "RvslInd", &format!("`{}` is neither true nor false", clean(other, 40))));
            }
        };
        let transactions = children(node, "NtryDtls").flat_map(|details| children(details, "TxDtls")).collect();
        Ok(Self { node, amount: money(amount)?, is_credit, is_reversal, date: date(node)?, transactions })
    }

    /// One entry for each transaction if their amounts are the whole entry, or else the entry.
    fn split(self) -> Result<Vec<Found<'a, 'input>>, StatementError> {
        let Self { node, amount, is_credit, is_reversal, date, transactions } = self;
        if let [_, _, ..] = transactions[..] {
            let mut parts = Vec::with_capacity(transactions.len());
            let mut sum = Some(0_i128);
            for transaction in &transactions {
                let own = amount_of(*transaction, amount.currency())?;
                let credit = direction(*transaction)?.unwrap_or(is_credit);
                let signed = own.map(|own| i128::from(own.minor()) * if credit == is_credit { 1 } else { -1 });
                sum = sum.zip(signed).map(|(sum, signed)| sum + signed);
                parts.extend(own.map(|own| Found {
                    entry: node,
                    parts: vec![*transaction],
                    amount: own,
                    kind: kind(credit, is_reversal, is_return(*transaction)),
                    date,
                    is_alone: false,
                }));
            }
            if sum == Some(i128::from(amount.minor())) {
                parts.retain(|part| !part.amount.is_zero());
                return Ok(parts);
            }
        }
        if amount.is_zero() {
            return Ok(Vec::new());
        }
        let returns = transactions.iter().any(|transaction| is_return(*transaction));
        let kind = kind(is_credit, is_reversal, returns);
        Ok(vec![Found { entry: node, parts: transactions, amount, kind, date, is_alone: true }])
    }
}

impl Found<'_, '_> {
    fn entry(self, kind: EntryKind, account: String, fingerprints: &mut Fingerprints) -> StatementEntry {
        let of_parts = |path: &[&str]| -> Option<String> {
            self.parts.iter().find_map(|part| texts(*part, path).into_iter().next())
        };
        let side = if kind == EntryKind::DebitReversal { ("Cdtr", "CdtrAcct") } else { ("Dbtr", "DbtrAcct") };
        let payer = of_parts(&["RltdPties", side.0, "Pty", "Nm"]).or_else(|| of_parts(&["RltdPties", side.0, "Nm"]));
        let payer_account = of_parts(&["RltdPties", side.1, "Id", "IBAN"])
            .or_else(|| of_parts(&["RltdPties", side.1, "Id", "Othr", "Id"]));
        let of_entry = first(self.entry, &["AcctSvcrRef"]).and_then(|text| clean_reference(&text));
        let of_part = || of_parts(&["Refs", "AcctSvcrRef"]).and_then(|text| clean_reference(&text));
        // The reference of a batch stands for all of it.
        let bank_reference = if self.is_alone {
            of_entry.clone().or_else(of_part)
        } else {
            of_part().filter(|own| of_entry.as_ref() != Some(own))
        };
        let batch = if self.is_alone { String::new() } else { of_entry.unwrap_or_default() };
        let mut entry = StatementEntry {
            account,
            kind,
            amount: self.amount,
            booked_on: self.date,
            bank_reference,
            payer: payer.and_then(|name| clean_name(&name)),
            payer_account: payer_account.and_then(|account| clean_account(&account)),
            creditor_reference: of_parts(&["RmtInf", "Strd", "CdtrRefInf", "Ref"]).and_then(|text| clean_name(&text)),
            text: self.text(),
            fingerprint: String::new(),
        };
        entry.fingerprint = fingerprints.take(&entry, &batch);
        entry
    }

    /// Text of the payer, the documents that are referred to, and the payer's reference.
    fn text(&self) -> String {
        const PATHS: [&[&str]; 5] = [
            &["RmtInf", "Ustrd"],
            &["RmtInf", "Strd", "RfrdDocInf", "Nb"],
            &["RmtInf", "Strd", "AddtlRmtInf"],
            &["Refs", "EndToEndId"],
            &["AddtlTxInf"],
        ];
        let mut words: Vec<String> = Vec::new();
        for part in &self.parts {
            for text in PATHS.iter().flat_map(|path| texts(*part, path)) {
                words.extend(clean_reference(&text).map(|_| clean(&text, TEXT_MAX_CHARS)));
            }
        }
        if words.is_empty() {
            words.extend(first(self.entry, &["AddtlNtryInf"]));
        }
        clean(&words.join(" "), TEXT_MAX_CHARS)
    }
}

/// The kind of an entry; none for one that takes money away by itself.
const fn kind(is_credit: bool, is_reversal: bool, is_return: bool) -> Option<EntryKind> {
    match (is_credit, is_reversal || is_return) {
        (true, false) => Some(EntryKind::Credit),
        (true, true) => Some(EntryKind::DebitReversal),
        (false, true) => Some(EntryKind::CreditReversal),
        (false, false) => None,
    }
}

/// Returns true if a transaction returns another one.
fn is_return(transaction: Node<'_, '_>) -> bool {
    child(transaction, "RtrInf").is_some()
}

/// True for a credit, false for a debit, none if nothing is said.
fn direction(node: Node<'_, '_>) -> Result<Option<bool>, StatementError> {
    match first(node, &["CdtDbtInd"]).as_deref() {
        None => Ok(None),
        Some("CRDT") => Ok(Some(true)),
        Some("DBIT") => Ok(Some(false)),
        Some(other) => Err(fault(node, "CdtDbtInd", &format!("`{}` is neither CRDT nor DBIT", clean(other, 40)))),
    }
}

/// The amount of a transaction in the currency of its entry.
fn amount_of(transaction: Node<'_, '_>, currency: Currency) -> Result<Option<Money>, StatementError> {
    let nested = || child(child(child(transaction, "AmtDtls")?, "TxAmt")?, "Amt");
    let found = child(transaction, "Amt").or_else(nested).map(money).transpose()?;
    Ok(found.filter(|amount| amount.currency() == currency))
}

fn money(node: Node<'_, '_>) -> Result<Money, StatementError> {
    let code = node.attribute("Ccy").unwrap_or_default();
    let currency = Currency::from_code(code)
        .ok_or_else(|| fault(node, "Ccy", &format!("`{}` is not a currency", clean(code, 10))))?;
    let text = node.text().unwrap_or_default().trim();
    // Zeros behind the currency's places change nothing, and some banks write them.
    match Money::parse(text.strip_prefix('+').unwrap_or(text), currency) {
        Ok(amount) if amount.minor() >= 0 => Ok(amount),
        Ok(_) => Err(fault(node, "Amt", "an amount is not below zero: CdtDbtInd has the direction")),
        Err(error) => Err(fault(node, "Amt", &error.to_string())),
    }
}

/// Day on which an entry was booked; without it, the day from which it bears interest.
fn date(node: Node<'_, '_>) -> Result<Date, StatementError> {
    let stated = [["BookgDt", "Dt"], ["BookgDt", "DtTm"], ["ValDt", "Dt"], ["ValDt", "DtTm"]];
    let text = stated.iter().find_map(|path| first(node, path));
    let text = text.ok_or_else(|| fault(node, "BookgDt", "the entry has none"))?;
    let day = text.get(..10).unwrap_or(&text);
    day.parse().map_err(|reason: String| fault(node, "BookgDt", &reason))
}

fn children<'a, 'input>(node: Node<'a, 'input>, name: &'static str) -> impl Iterator<Item = Node<'a, 'input>> {
    node.children().filter(move |child| child.is_element() && child.tag_name().name() == name)
}

fn child<'a, 'input>(node: Node<'a, 'input>, name: &'static str) -> Option<Node<'a, 'input>> {
    children(node, name).next()
}

/// Texts of all elements at a path, in their order.
fn texts(node: Node<'_, '_>, path: &[&str]) -> Vec<String> {
    let mut nodes = vec![node];
    for name in path {
        let inner = nodes.iter().flat_map(Node::children);
        nodes = inner.filter(|child| child.is_element() && child.tag_name().name() == *name).collect();
    }
    nodes.iter().filter_map(Node::text).map(|text| text.trim().to_owned()).filter(|text| !text.is_empty()).collect()
}

fn first(node: Node<'_, '_>, path: &[&str]) -> Option<String> {
    texts(node, path).into_iter().next()
}

fn fault(node: Node<'_, '_>, field: &'static str, reason: &str) -> StatementError {
    let position = node.document().text_pos_at(node.range().start);
    let place = format!("line {}, column {}", position.row, position.col);
    StatementError::Entry { place, field, reason: reason.to_owned() }
}

#[cfg(test)]
mod tests;
