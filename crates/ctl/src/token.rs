//! The bearer token of an operator or a publisher.

use std::{ffi::OsString, path::Path};

use anyhow::{Context, ensure};
use reqwest::header::HeaderValue;

use crate::input;

/// The most bytes of the file that are read: a token has far fewer.
const FILE_SIZE_MAX: usize = 4096;

/// A token in the form of the header field (RFC 6750, section 2.1). It is marked as sensitive, so that it
/// is never printed.
#[derive(Debug, Clone)]
pub(crate) struct Token(HeaderValue);

impl Token {
    /// The token in `file`, if given, otherwise that of the variable, or none. No flag takes a token, because
    /// arguments are visible in process lists.
    pub(crate) fn find(
        file: Option<&Path>,
        (name, variable): (&'static str, Option<OsString>),
    ) -> anyhow::Result<Option<Self>> {
        if let Some(path) = file {
            let text = input::read_file(path, FILE_SIZE_MAX, "");
            let token = text.and_then(|text| Self::parse(&text));
            let named = || format!("the token file {} cannot be used", path.display());
            return token.map(Some).with_context(named);
        }
        let Some(variable) = variable.filter(|text| !text.is_empty()) else {
            return Ok(None);
        };
        let token = Self::parse(&variable.to_string_lossy());
        token.map(Some).context(name)
    }

    fn parse(text: &str) -> anyhow::Result<Self> {
        let token = text.trim();
        let is_token = !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic());
        ensure!(
            is_token,
            "the file must contain only the token, as one word"
        );
        let mut value = HeaderValue::try_from(format!("Bearer {token}"))?;
        value.set_sensitive(true);
        Ok(Self(value))
    }

    /// The value of the field `Authorization`.
    pub(crate) fn header(&self) -> HeaderValue {
        self.0.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(&file, text).unwrap();
        file
    }

    fn found(file: Option<&Path>, variable: Option<&str>) -> Option<String> {
        let variable = ("VARIABLE", variable.map(OsString::from));
        let token = Token::find(file, variable).unwrap();
        token.map(|token| token.header().to_str().unwrap().to_owned())
    }

    #[test]
    fn a_token_file_overrides_the_variable() {
        let file = file("quorate-admin-a\n");
        let of_file = Some("Bearer quorate-admin-a".to_owned());
        assert_eq!(found(Some(file.path()), Some("quorate-admin-b")), of_file);
        let of_variable = Some("Bearer quorate-admin-b".to_owned());
        assert_eq!(found(None, Some("quorate-admin-b")), of_variable);
        assert_eq!(found(None, Some("")), None);
        assert_eq!(found(None, None), None);
    }

    #[test]
    fn a_file_without_one_token_is_named() {
        for text in ["", "two words", "two\nlines"] {
            let file = file(text);
            let error = Token::find(Some(file.path()), ("VARIABLE", None)).unwrap_err();
            let path = file.path().display().to_string();
            assert!(error.to_string().contains(&path), "{error}");
        }
        let missing = Path::new("/no/such/file");
        assert!(Token::find(Some(missing), ("VARIABLE", None)).is_err());
    }

    #[test]
    fn a_token_is_never_shown() {
        let token = Token::parse("quorate-admin-secret").unwrap();
        assert!(!format!("{token:?}{:?}", token.header()).contains("secret"));
    }
}
