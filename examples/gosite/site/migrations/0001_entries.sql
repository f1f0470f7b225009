create table entries (
    id      integer primary key,
    author  text not null,
    text    text not null,
    written integer not null -- seconds since 1970
);
