-- Gathered looks (action `look`) name many resources; the text is compressed within the row. Old rows stay as they are.
alter table audit alter column detail set storage main;
alter table audit set (toast_tuple_target = 256);
