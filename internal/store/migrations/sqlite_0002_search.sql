-- +goose Up
-- Contentless: the words are indexed, the text stays in the raw mail.
CREATE VIRTUAL TABLE message_fts USING fts5(subject, people, body, content='', contentless_delete=1, tokenize='unicode61 remove_diacritics 2', prefix='2 3');
