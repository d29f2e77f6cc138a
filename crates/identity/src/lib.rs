//! Who is calling: resource server, authorization server, login, tokens.
