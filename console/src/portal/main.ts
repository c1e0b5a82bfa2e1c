import '../styles/base.css';
import { mount } from 'svelte';
import App from './App.svelte';
import { followLinks } from '../lib/router.svelte';

document.addEventListener('click', followLinks);
const target = document.getElementById('app');
if (target) mount(App, { target });
