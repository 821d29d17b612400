import {
  Button,
  Dialog,
  DialogActions,
  DialogBody,
  DialogContent,
  DialogSurface,
  DialogTitle,
  Field,
  Input,
  makeStyles,
  Select,
  tokens,
} from '@fluentui/react-components';
import { useMutation } from '@tanstack/react-query';
import { useId, useState } from 'react';
import { useTranslation } from 'react-i18next';
import type { Region } from '../api/types';
import { Problem } from './Problem';

const useStyles = makeStyles({
  fields: {
    display: 'flex',
    flexDirection: 'column',
    gap: tokens.spacingVerticalM,
    paddingBottom: tokens.spacingVerticalM,
  },
});

export interface NameDialogProps {
  title: string;
  intro: string;
  nameLabel: string;
  nameRule: string;
  isLegal: (name: string) => boolean;
  regions: Region[];
  firstRegion: string;
  onCreate: (name: string, region: string) => Promise<unknown>;
  onClose: () => void;
}

/** Creates something that needs a name and a region: a gallery, a lab account. */
export function NameDialog(props: NameDialogProps) {
  const { t } = useTranslation();
  const styles = useStyles();
  const formId = useId();
  const [name, setName] = useState('');
  const [region, setRegion] = useState(props.firstRegion);
  const create = useMutation({
    mutationFn: () => props.onCreate(name, region),
    onSuccess: props.onClose,
  });
  const legal = props.isLegal(name);
  return (
    <Dialog
      open
      onOpenChange={() => {
        if (!create.isPending) props.onClose();
      }}
    >
      <DialogSurface>
        <form
          id={formId}
          onSubmit={(event) => {
            event.preventDefault();
            if (legal && !create.isPending) create.mutate();
          }}
        >
          <DialogBody>
            <DialogTitle>{props.title}</DialogTitle>
            <DialogContent className={styles.fields}>
              <span>{props.intro}</span>
              <Field
                label={props.nameLabel}
                required
                validationState={name === '' ? 'none' : legal ? 'success' : 'error'}
                validationMessage={props.nameRule}
              >
                <Input
                  value={name}
                  maxLength={80}
                  autoComplete="off"
                  onChange={(_, { value }) => {
                    setName(value);
                  }}
                />
              </Field>
              <Field label={t('common.region')}>
                <Select
                  value={region}
                  onChange={(_, { value }) => {
                    setRegion(value);
                  }}
                >
                  {props.regions.map((each) => (
                    <option key={each.name} value={each.name}>
                      {each.displayName}
                    </option>
                  ))}
                </Select>
              </Field>
              {create.error !== null && <Problem error={create.error} />}
            </DialogContent>
            <DialogActions>
              <Button disabled={create.isPending} onClick={props.onClose}>
                {t('common.cancel')}
              </Button>
              <Button
                appearance="primary"
                type="submit"
                disabledFocusable={!legal || create.isPending}
              >
                {t('common.create')}
              </Button>
            </DialogActions>
          </DialogBody>
        </form>
      </DialogSurface>
    </Dialog>
  );
}
