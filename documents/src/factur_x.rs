//! The metadata by which programs find the electronic invoice in a PDF: the properties of Factur-X
//! (section 6.2.2 of its specification), with the description that PDF/A asks for.
//!
//! typst writes the metadata itself and takes none from outside, so they are put into the finished
//! file. The metadata are a stream without compression near its end; what lies behind it moves, and
//! the table of places follows.

use crate::Attachment;

const NAMESPACE: &str = "urn:factur-x:pdfa:CrossIndustryDocument:invoice:1p0#";

/// The properties: name and description.
const PROPERTIES: [(&str, &str); 4] = [
    ("DocumentFileName", "The name of the embedded XML document"),
    ("DocumentType", "The type of the hybrid document in capital letters, e.g. INVOICE or ORDER"),
    ("Version", "The actual version of the standard applying to the embedded XML document"),
    ("ConformanceLevel", "The conformance level of the embedded XML document"),
];

/// The end of the descriptions of other schemas.
const SCHEMAS_END: &str = "</rdf:Bag></pdfaExtension:schemas>";

/// The end of all metadata.
const RDF_END: &str = "</rdf:RDF>";

/// Bytes of an entry of the table of places.
const ENTRY_BYTES: usize = 20;

/// The PDF with metadata that name its attachment; none if its form is not the expected one.
pub(crate) fn name_attachment(pdf: &[u8], attachment: &Attachment) -> Option<Vec<u8>> {
    let start = last(pdf, b"<?xpacket begin")?;
    let end = start + first(&pdf[start..], b"\nendstream")?;
    let metadata = std::str::from_utf8(&pdf[start..end]).ok()?;
    let metadata = described(metadata, attachment)?;
    let length_start = last(&pdf[..start], b"/Length ")? + b"/Length ".len();
    let length_end = length_start + pdf[length_start..].iter().position(|byte| !byte.is_ascii_digit())?;
    let mut new = pdf[..length_start].to_vec();
    new.extend_from_slice(metadata.len().to_string().as_bytes());
    new.extend_from_slice(&pdf[length_end..start]);
    new.extend_from_slice(metadata.as_bytes());
    new.extend_from_slice(&pdf[end..]);
    let grown = new.len().checked_sub(pdf.len())?;
    moved(new, end, grown)
}

/// The metadata with the properties and their descriptions.
fn described(metadata: &str, attachment: &Attachment) -> Option<String> {
    let property = |(name, description): (&str, &str)| {
        format!(
            "<rdf:li rdf:parseType=\"Resource\"><pdfaProperty:name>{name}</pdfaProperty:name>\
             <pdfaProperty:valueType>Text</pdfaProperty:valueType>\
             <pdfaProperty:category>external</pdfaProperty:category>\
             <pdfaProperty:description>{description}</pdfaProperty:description></rdf:li>"
        )
    };
    let properties: String = PROPERTIES.into_iter().map(property).collect();
    let schema = format!(
        "<rdf:li rdf:parseType=\"Resource\"><pdfaSchema:schema>Factur-X PDFA Extension Schema</pdfaSchema:schema>\
         <pdfaSchema:namespaceURI>{NAMESPACE}</pdfaSchema:namespaceURI><pdfaSchema:prefix>fx</pdfaSchema:prefix>\
         <pdfaSchema:property><rdf:Seq>{properties}</rdf:Seq></pdfaSchema:property></rdf:li>"
    );
    let Attachment { file, level } = attachment;
    let values = format!(
        "<rdf:Description rdf:about=\"\" xmlns:fx=\"{NAMESPACE}\"><fx:DocumentType>INVOICE</fx:DocumentType>\
         <fx:DocumentFileName>{}</fx:DocumentFileName><fx:Version>1.0</fx:Version>\
         <fx:ConformanceLevel>{}</fx:ConformanceLevel></rdf:Description>",
        escaped(file),
        escaped(level)
    );
    if !metadata.contains(SCHEMAS_END) || !metadata.contains(RDF_END) {
        return None;
    }
    let metadata = metadata.replacen(SCHEMAS_END, &format!("{schema}{SCHEMAS_END}"), 1);
    Some(metadata.replacen(RDF_END, &format!("{values}{RDF_END}"), 1))
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// The file after its bytes behind `moved_from` have moved by `grown`: its table of places follows.
fn moved(mut pdf: Vec<u8>, moved_from: usize, grown: usize) -> Option<Vec<u8>> {
    let keyword = last(&pdf, b"startxref\n")? + b"startxref\n".len();
    let digits = pdf[keyword..].iter().position(|byte| !byte.is_ascii_digit())?;
    let table = number(&pdf[keyword..keyword + digits])? + grown;
    let new_place = table.to_string();
    pdf.splice(keyword..keyword + digits, new_place.bytes());
    let head = b"xref\n0 ";
    if !pdf[table..].starts_with(head) {
        return None;
    }
    let count_start = table + head.len();
    let digits = pdf[count_start..].iter().position(|byte| !byte.is_ascii_digit())?;
    let count = number(&pdf[count_start..count_start + digits])?;
    let entries = count_start + digits + 1;
    for place in (0..count).map(|entry| entries + entry * ENTRY_BYTES) {
        let entry = pdf.get_mut(place..place + ENTRY_BYTES)?;
        let offset = number(&entry[..10])?;
        if entry[17] == b'n' && offset > moved_from {
            entry[..10].copy_from_slice(format!("{:010}", offset + grown).as_bytes());
        }
    }
    Some(pdf)
}

fn number(digits: &[u8]) -> Option<usize> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

fn first(bytes: &[u8], part: &[u8]) -> Option<usize> {
    bytes.windows(part.len()).position(|window| window == part)
}

fn last(bytes: &[u8], part: &[u8]) -> Option<usize> {
    bytes.windows(part.len()).rposition(|window| window == part)
}
