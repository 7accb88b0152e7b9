-- +goose Up
-- Contentless: the words are indexed, the text stays in the raw mail. No prefix indexes: they would cost
-- as much again as the index itself, and a range scan over the terms serves prefixes well.
CREATE VIRTUAL TABLE message_fts USING fts5(subject, people, body, content='', contentless_delete=1, tokenize='unicode61 remove_diacritics 2');
