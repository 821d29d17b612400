// What is typed into the new-lab form, kept over back, forward and reload; never the password.

import { useState } from 'react';
import type { PlanImage } from '../../api/types';
import { isNewUserName, isPassword, isResourceName, isUserName } from '../../ui/names';

export interface LabDraft {
  title: string;
  /** Empty: taken from the title. */
  name: string;
  region: string;
  size: string;
  imageId: string;
  userName: string;
  password: string;
}

export const kNoDraft: LabDraft = {
  title: '',
  name: '',
  region: '',
  size: '',
  imageId: '',
  userName: '',
  password: '',
};

const kStorageName = 'atelier.newLab';

function stored(): LabDraft {
  try {
    const value = JSON.parse(sessionStorage.getItem(kStorageName) ?? '{}') as Partial<LabDraft>;
    return { ...kNoDraft, ...value, password: '' };
  } catch {
    return kNoDraft;
  }
}

function store(draft: LabDraft | null) {
  try {
    if (draft === null) sessionStorage.removeItem(kStorageName);
    else sessionStorage.setItem(kStorageName, JSON.stringify({ ...draft, password: undefined }));
  } catch {
    // Then a reload begins anew.
  }
}

export function useLabDraft() {
  const [draft, setDraft] = useState(stored);
  const change = (part: Partial<LabDraft>) => {
    const next = { ...draft, ...part };
    setDraft(next);
    store(next);
  };
  const forget = () => {
    store(null);
  };
  return { draft, change, forget };
}

export const isTitle = (title: string) => title.trim() !== '' && title.length <= 120;

export function basicsComplete(draft: LabDraft, name: string): boolean {
  return (
    isTitle(draft.title) &&
    isResourceName(name) &&
    draft.region !== '' &&
    draft.size !== '' &&
    draft.imageId !== ''
  );
}

/** A generalized image gets a new account, a specialized one has its own. */
export function userNameFits(userName: string, image: PlanImage): boolean {
  return image.properties.osState === 'Specialized' ? isUserName(userName) : isNewUserName(userName);
}

export function credentialsComplete(draft: LabDraft, image: PlanImage): boolean {
  return userNameFits(draft.userName, image) && isPassword(draft.password);
}
