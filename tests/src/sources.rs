//! Reading Rust sources as far as the house rules need it: tokens without comments and strings,
//! and every path that a file names, through `use` trees or inline.
//!
//! This is no full parser. It knows comments (nested ones too), all forms of strings and
//! characters, blocks of `mod`, and use trees with braces, globs and renames.

/// The words and signs of a source, without comments, strings and characters.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Token {
    /// An identifier, keyword or number.
    Word(String),
    /// `::`.
    PathSeparator,
    /// Any other sign.
    Sign(char),
}

impl Token {
    fn is(&self, word: &str) -> bool {
        matches!(self, Self::Word(own) if own == word)
    }
}

/// The tokens of `source`.
pub fn tokens(source: &str) -> Vec<Token> {
    let bytes = source.as_bytes();
    let mut tokens = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let rest = &source[at..];
        let first = bytes[at];
        at += if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            block_comment(rest)
        } else if let Some(bytes) = string(rest) {
            bytes
        } else if first == b'\'' {
            character(rest)
        } else if first == b'_' || first.is_ascii_alphanumeric() {
            let is_word = |byte: &u8| *byte == b'_' || byte.is_ascii_alphanumeric();
            let bytes = rest.bytes().take_while(|byte| is_word(byte)).count();
            tokens.push(Token::Word(rest[..bytes].to_owned()));
            bytes
        } else if rest.starts_with("::") {
            tokens.push(Token::PathSeparator);
            2
        } else {
            let sign = rest.chars().next().unwrap_or(' ');
            if !sign.is_whitespace() {
                tokens.push(Token::Sign(sign));
            }
            sign.len_utf8()
        };
    }
    tokens
}

fn block_comment(rest: &str) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < rest.len() {
        let tail = &rest.as_bytes()[at..];
        if tail.starts_with(b"/*") {
            (depth, at) = (depth + 1, at + 2);
        } else if tail.starts_with(b"*/") {
            (depth, at) = (depth - 1, at + 2);
        } else {
            at += 1;
        }
        if depth == 0 {
            break;
        }
    }
    at
}

/// The length of the string that `rest` starts with, if it does.
fn string(rest: &str) -> Option<usize> {
    let prefix = rest.bytes().take_while(|byte| b"bcr".contains(byte)).count();
    let raw = rest[..prefix].contains('r');
    let hashes = rest[prefix..].bytes().take_while(|&byte| byte == b'#').count();
    let open = prefix + hashes;
    if prefix > 2 || !rest[open..].starts_with('"') || (hashes > 0 && !raw) {
        return None;
    }
    let body = &rest[open + 1..];
    if raw {
        let end = format!("\"{}", "#".repeat(hashes));
        return Some(open + 1 + body.find(&end).map_or(body.len(), |at| at + end.len()));
    }
    let mut escaped = false;
    for (at, byte) in body.bytes().enumerate() {
        match byte {
            b'"' if !escaped => return Some(open + 1 + at + 1),
            b'\\' => escaped = !escaped,
            _ => escaped = false,
        }
    }
    Some(rest.len())
}

/// The length of the character, or of the quote of the lifetime, that `rest` starts with.
fn character(rest: &str) -> usize {
    let mut characters = rest.char_indices().skip(1);
    match (characters.next(), characters.next()) {
        (Some((_, '\\')), Some((after, _))) => {
            let end = rest[after + 1..].find('\'');
            end.map_or(rest.len(), |end| after + 1 + end + 1)
        }
        (Some(_), Some((end, '\''))) => end + 1,
        _ => 1,
    }
}

/// A path that a file names: `crate`, `self`, `super` or a name first; `*` last for a glob.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NamedPath {
    /// Its parts.
    pub parts: Vec<String>,
    /// Under which name a `use` brings it in; `None` for an inline path.
    pub alias: Option<String>,
    /// The blocks of `mod` around it, outermost first.
    pub inside: Vec<String>,
}

/// Every `use` of a file, and every inline path that starts with `crate` or `super`. Blocks of
/// `#[cfg(test)] mod` are left out.
pub fn paths(source: &str) -> Vec<NamedPath> {
    let tokens = tokens(source);
    let mut found = Vec::new();
    let mut blocks: Vec<(String, usize)> = Vec::new();
    let (mut at, mut depth) = (0, 0);
    while at < tokens.len() {
        let inside = || blocks.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
        match &tokens[at] {
            Token::Sign('{') => depth += 1,
            Token::Sign('}') => {
                depth -= 1;
                blocks.retain(|(_, outer)| *outer < depth);
            }
            Token::Word(word) if word == "mod" && is_block(&tokens, at) => {
                if is_for_tests(&tokens, at) {
                    at = end_of_block(&tokens, at + 2);
                    continue;
                }
                if let Token::Word(name) = &tokens[at + 1] {
                    blocks.push((name.clone(), depth));
                }
            }
            Token::Word(word) if word == "use" && tokens.get(at + 1) != Some(&Token::Sign('<')) => {
                let mut tree =
                    UseTree { tokens: &tokens, at: at + 1, inside: inside(), found: &mut found };
                tree.read(&[]);
                at = tree.at;
                continue;
            }
            Token::Word(word) if word == "crate" || word == "super" => {
                let parts = inline_path(&tokens, at);
                at += 2 * parts.len() - 1;
                if parts.len() > 1 {
                    found.push(NamedPath { parts, alias: None, inside: inside() });
                }
                continue;
            }
            _ => {}
        }
        at += 1;
    }
    found
}

fn is_block(tokens: &[Token], at: usize) -> bool {
    matches!(tokens.get(at + 1), Some(Token::Word(_)))
        && tokens.get(at + 2) == Some(&Token::Sign('{'))
}

/// Whether `cfg ( test ) ]` stands right before the `mod` at `at`.
fn is_for_tests(tokens: &[Token], at: usize) -> bool {
    let before = &tokens[..at];
    before.len() >= 5 && {
        let tail = &before[before.len() - 5..];
        tail[0].is("cfg") && tail[2].is("test") && tail[4] == Token::Sign(']')
    }
}

/// The position after the block that opens at `at`.
fn end_of_block(tokens: &[Token], mut at: usize) -> usize {
    let mut depth = 0;
    while at < tokens.len() {
        depth += match tokens[at] {
            Token::Sign('{') => 1,
            Token::Sign('}') => -1,
            _ => 0,
        };
        at += 1;
        if depth == 0 {
            break;
        }
    }
    at
}

fn inline_path(tokens: &[Token], mut at: usize) -> Vec<String> {
    let mut parts = Vec::new();
    while let Some(Token::Word(word)) = tokens.get(at) {
        parts.push(word.clone());
        if tokens.get(at + 1) != Some(&Token::PathSeparator) {
            break;
        }
        at += 2;
        if !matches!(tokens.get(at), Some(Token::Word(_))) {
            break;
        }
    }
    parts
}

struct UseTree<'a> {
    tokens: &'a [Token],
    at: usize,
    inside: Vec<String>,
    found: &'a mut Vec<NamedPath>,
}

impl UseTree<'_> {
    /// Reads one tree below `prefix`, up to and including the sign that ends it.
    fn read(&mut self, prefix: &[String]) {
        let mut parts = prefix.to_vec();
        let mut alias = None;
        loop {
            let token = self.tokens.get(self.at).cloned();
            self.at += 1;
            match token {
                Some(Token::Word(word)) if word == "as" => {
                    if let Some(Token::Word(name)) = self.tokens.get(self.at) {
                        alias = Some(name.clone());
                        self.at += 1;
                    }
                }
                // `a::{self}` names `a`.
                Some(Token::Word(word)) if word == "self" && !parts.is_empty() => {}
                Some(Token::Word(word)) => parts.push(word),
                Some(Token::Sign('*')) => parts.push("*".to_owned()),
                Some(Token::PathSeparator) => {}
                Some(Token::Sign('{')) => {
                    self.read_list(&parts);
                    // The sign after the list ends this tree; it names nothing itself.
                    self.at += 1;
                    return;
                }
                _ => break,
            }
        }
        let alias = alias.or_else(|| parts.last().cloned());
        self.found.push(NamedPath { parts, alias, inside: self.inside.clone() });
    }

    fn read_list(&mut self, prefix: &[String]) {
        while self.at < self.tokens.len() {
            if self.tokens[self.at] == Token::Sign('}') {
                self.at += 1;
                return;
            }
            self.read(prefix);
            if self.tokens.get(self.at - 1) == Some(&Token::Sign('}')) {
                return;
            }
        }
    }
}
