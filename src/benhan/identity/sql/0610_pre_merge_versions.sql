-- Which version of the person who goes stood before a merge, so that undoing it gives back what was, byte for byte.
alter table identity_merge add column gone_version integer;
