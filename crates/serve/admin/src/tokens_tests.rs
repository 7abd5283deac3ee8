use std::{error::Error, fs};

use crate::{Scope, Token, TokenLineError, Tokens, tokens::TokenList};

fn name(name: &str) -> crate::TokenName {
    name.parse().unwrap()
}

#[test]
fn a_token_is_known_by_its_hash_only() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("tokens");
    let [alice, bob, eve] = [(); 3].map(|()| Token::generate().unwrap());
    let text = format!(
        "# who may\n\n{}\r\n  {}\n",
        alice.line(&name("alice"), Scope::Operate),
        bob.line(&name("bob"), Scope::Metrics),
    );
    assert!(!text.contains(&alice.to_string()));
    fs::write(&file, text).unwrap();

    let tokens = Tokens::open(&file).unwrap();
    let found = tokens.find(&alice.to_string()).unwrap();
    assert_eq!((found.name, found.scope), (name("alice"), Scope::Operate));
    let found = tokens.find(&bob.to_string()).unwrap();
    assert_eq!((found.name, found.scope), (name("bob"), Scope::Metrics));
    for stranger in [eve.to_string(), String::new(), alice.to_string() + " "] {
        assert!(tokens.find(&stranger).is_none());
    }
}

#[test]
fn debug_output_does_not_show_the_token() {
    let token = Token::generate().unwrap();
    assert!(token.to_string().starts_with("quorate-admin-"));
    assert_eq!(format!("{token:?}"), "Token(…)");
    assert_ne!(token.to_string(), Token::generate().unwrap().to_string());
}

#[test]
fn an_invalid_file_leaves_the_old_tokens() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("tokens");
    let [old, new] = [(); 2].map(|()| Token::generate().unwrap());
    fs::write(&file, old.line(&name("old"), Scope::Read)).unwrap();
    let tokens = Tokens::open(&file).unwrap();

    fs::write(&file, "new read\n").unwrap();
    let error = tokens.read().unwrap_err();
    assert!(error.to_string().contains("line 1"), "{error}");
    assert!(tokens.find(&old.to_string()).is_some());

    assert!(!tokens.replace(TokenList::parse(&old.line(&name("old"), Scope::Read)).unwrap()));
    fs::write(&file, new.line(&name("new"), Scope::Read)).unwrap();
    assert!(tokens.replace(tokens.read().unwrap()));
    assert!(tokens.find(&old.to_string()).is_none());
    assert!(tokens.find(&new.to_string()).is_some());
}

#[test]
fn without_a_file_no_token_is_known() {
    let tokens = Tokens::open("".as_ref()).unwrap();
    assert!(tokens.find("").is_none());
    let missing = Tokens::open("/nothing/here".as_ref()).unwrap_err();
    assert!(missing.to_string().contains("/nothing/here"));
    assert!(missing.source().is_some());
}

#[test]
fn an_invalid_line_is_rejected_without_being_quoted() {
    let token = Token::generate().unwrap();
    let line = token.line(&name("a"), Scope::Read);
    for (text, at, reason) in [
        (format!("{line}\n{token}"), 2, TokenLineError::Format),
        (format!("{line} x"), 1, TokenLineError::Format),
        (line.replace("read", "write"), 1, TokenLineError::Scope),
        (line.replace("read", "Read"), 1, TokenLineError::Scope),
        (line.replace("sha256:", "sha1:"), 1, TokenLineError::Hash),
        (format!("a read {token}"), 1, TokenLineError::Hash),
        (format!("{line}0"), 1, TokenLineError::Hash),
        (
            format!("{line}\n\n{line}"),
            3,
            TokenLineError::SameName(name("a")),
        ),
        (
            format!("{line}\n{}", token.line(&name("b"), Scope::Operate)),
            2,
            TokenLineError::SameToken,
        ),
    ] {
        let (line, error) = TokenList::parse(&text).unwrap_err();
        assert_eq!((line, &error), (at, &reason));
        assert!(!error.to_string().contains(&token.to_string()));
    }
}

#[test]
fn reserved_and_malformed_names_are_rejected() {
    for invalid in [
        "",
        "socket",
        "loopback",
        "nobody",
        "a b",
        "a\n",
        "é",
        &"x".repeat(65),
    ] {
        assert!(invalid.parse::<crate::TokenName>().is_err(), "{invalid:?}");
    }
}

#[test]
fn the_number_of_tokens_is_bounded() {
    let line = |at| {
        Token::generate()
            .unwrap()
            .line(&name(&format!("t{at}")), Scope::Read)
    };
    let mut lines: Vec<_> = (0..1000).map(line).collect();
    assert!(TokenList::parse(&lines.join("\n")).is_ok());
    lines.push(line(1000));
    let error = TokenList::parse(&lines.join("\n")).unwrap_err();
    assert_eq!(error, (1001, TokenLineError::TooMany));
}

#[test]
fn each_scope_includes_those_before_it() {
    assert!(Scope::Operate > Scope::Read && Scope::Read > Scope::Metrics);
    for scope in ["metrics", "read", "operate"] {
        assert_eq!(scope.parse::<Scope>().unwrap().to_string(), scope);
    }
}
