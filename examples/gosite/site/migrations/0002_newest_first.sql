create index entries_newest on entries (written desc, id desc);

insert into entries (author, text, written)
select 'The landlady', 'Welcome! Please sign the book.', unixepoch()
where not exists (select * from entries);
