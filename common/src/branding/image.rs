//! Images of branding: base64 in documents and in the store, bytes for whoever draws them.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Largest image, in bytes.
const MAX_BYTES: usize = 500_000;

/// An image: PNG, JPEG or SVG.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    bytes: Vec<u8>,
    extension: &'static str,
}

/// The reason for which bytes are no image.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ImageError {
    /// The text is not base64.
    #[error("the image is not written in base64")]
    Base64,
    /// Too large.
    #[error("the image has {0} bytes, and at most {MAX_BYTES} are allowed")]
    TooLarge(usize),
    /// Another format, or no image at all.
    #[error("this is no image: use PNG, JPEG or SVG")]
    Format,
}

impl Image {
    /// The image in these bytes. Whether it can be drawn is known once somebody has tried.
    pub fn new(bytes: Vec<u8>) -> Result<Self, ImageError> {
        if bytes.len() > MAX_BYTES {
            return Err(ImageError::TooLarge(bytes.len()));
        }
        let extension = match bytes.as_slice() {
            [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', ..] => "png",
            [0xff, 0xd8, 0xff, ..] => "jpg",
            text if is_svg(text) => "svg",
            _ => return Err(ImageError::Format),
        };
        Ok(Self { bytes, extension })
    }

    /// Its bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Its format, as files are named: `png`, `jpg` or `svg`.
    pub const fn extension(&self) -> &'static str {
        self.extension
    }
}

fn is_svg(bytes: &[u8]) -> bool {
    let begin = bytes.get(..bytes.len().min(1_000)).map(String::from_utf8_lossy);
    begin.is_some_and(|text| text.trim_start().starts_with('<') && text.contains("<svg"))
}

impl Serialize for Image {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(&self.bytes))
    }
}

impl<'de> Deserialize<'de> for Image {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let image = STANDARD.decode(text).map_err(|_| ImageError::Base64).and_then(Self::new);
        image.map_err(de::Error::custom)
    }
}

#[cfg(feature = "api")]
impl utoipa::PartialSchema for Image {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
        utoipa::openapi::ObjectBuilder::new()
            .schema_type(utoipa::openapi::schema::Type::String)
            .description(Some("An image: PNG, JPEG or SVG, in base64"))
            .content_encoding("base64")
            .max_length(Some(MAX_BYTES.div_ceil(3) * 4))
            .into()
    }
}

#[cfg(feature = "api")]
impl utoipa::ToSchema for Image {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn format_follows_from_the_first_bytes() {
        let png = b"\x89PNG\r\n\x1a\n....".to_vec();
        let svg = b"<?xml version=\"1.0\"?>\n<svg xmlns=\"http://www.w3.org/2000/svg\"/>".to_vec();
        let extension = |bytes| Image::new(bytes).map(|image| image.extension());
        assert_eq!(
            [extension(png), extension(vec![0xff, 0xd8, 0xff, 0xe0]), extension(svg)],
            [Ok("png"), Ok("jpg"), Ok("svg")]
        );
        assert_eq!(extension(b"%PDF-1.7".to_vec()), Err(ImageError::Format));
        assert_eq!(extension(b"<html></html>".to_vec()), Err(ImageError::Format));
        assert_eq!(extension(vec![0; MAX_BYTES + 1]), Err(ImageError::TooLarge(MAX_BYTES + 1)));
    }

    #[test]
    fn image_is_base64_in_documents() {
        let image: Image = serde_json::from_str("\"/9j/4A==\"").unwrap();
        assert_eq!((image.bytes(), image.extension()), ([0xff, 0xd8, 0xff, 0xe0].as_slice(), "jpg"));
        assert_eq!(serde_json::to_string(&image).unwrap(), "\"/9j/4A==\"");
        assert!(serde_json::from_str::<Image>("\"no base64\"").unwrap_err().to_string().contains("base64"));
    }
}
