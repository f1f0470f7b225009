begin;
drop view months;
delete from migrations where version = 3;
commit;
