create view months as
select unixepoch(date(written, 'unixepoch', 'start of month')) as first, count(*) as entries
from entries
group by first;
